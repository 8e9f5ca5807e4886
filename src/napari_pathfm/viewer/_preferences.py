"""What a person has set in napari's preferences for this plugin."""

from __future__ import annotations

PLUGIN = "napari-pathfm"


def preference(group: str, key: str) -> str:
    """Read one; empty where nothing was set."""
    from napari.settings import get_plugin_settings

    try:
        settings = get_plugin_settings(PLUGIN)
    except (KeyError, ValueError):
        # Run from source without being installed: napari does not know the plugin.
        return ""
    return str(getattr(getattr(settings, group, None), key, "") or "").strip()
