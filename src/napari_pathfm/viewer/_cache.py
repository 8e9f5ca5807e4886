"""Where the viewer keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path

from napari_pathfm.viewer._preferences import PLUGIN, preference

# The shell's and the test-suite's way to say it; goes before the preferences.
_VARIABLE = "NAPARI_PATHFM_CACHE"


def cache_folder() -> Path:
    """Give the cache's folder: environment, then napari's preferences, then the user's.

    It need not exist.
    """
    import platformdirs

    told = os.environ.get(_VARIABLE) or preference("storage", "cache_dir")
    return Path(told) if told else Path(platformdirs.user_cache_dir(PLUGIN))
