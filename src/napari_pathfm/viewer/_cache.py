"""Where the viewer keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path

# The shell's and the test-suite's way to say it; goes before the preferences.
_VARIABLE = "NAPARI_PATHFM_CACHE"
_PLUGIN = "napari-pathfm"


def cache_folder() -> Path:
    """Give the cache's folder: environment, then napari's preferences, then the user's.

    It need not exist.
    """
    import platformdirs

    told = os.environ.get(_VARIABLE) or _preferred()
    return Path(told) if told else Path(platformdirs.user_cache_dir(_PLUGIN))


def _preferred() -> str:
    """Read the preference; empty where nothing was set."""
    from napari.settings import get_plugin_settings

    try:
        settings = get_plugin_settings(_PLUGIN)
    except (KeyError, ValueError):
        # Run from source without being installed: napari does not know the plugin.
        return ""
    storage = getattr(settings, "storage", None)
    return str(getattr(storage, "cache_dir", "") or "").strip()
