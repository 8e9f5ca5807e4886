"""Where a person's own settings are kept."""

from __future__ import annotations

import os
from pathlib import Path

#: Names another folder for them.
CONFIG_VARIABLE = "NAPARI_PATHFM_CONFIG"


def config_folder() -> Path:
    """Give the folder of settings: the system's own, or ``NAPARI_PATHFM_CONFIG``."""
    import platformdirs

    told = os.environ.get(CONFIG_VARIABLE)
    return Path(told or platformdirs.user_config_dir("napari-pathfm")).expanduser()
