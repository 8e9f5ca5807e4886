"""What a person has set in napari's preferences for this plugin."""

from __future__ import annotations

PLUGIN = "napari-pathfm"


def preference(group: str, key: str) -> str:
    """Read a text; empty where nothing was set."""
    return str(_read(group, key) or "").strip()


def switched_on(group: str, key: str) -> bool:
    """Read a switch that is on unless it was switched off."""
    return _read(group, key) is not False


def prefer(group: str, key: str, value: str) -> None:
    """Keep a text for later windows too, as the preferences' own form does."""
    from napari.settings import get_plugin_settings

    try:
        settings = get_plugin_settings(PLUGIN)
    except (KeyError, ValueError):
        # Run from source without being installed: there is nowhere to keep it.
        return
    setattr(getattr(settings, group), key, value)


def _read(group: str, key: str) -> object:
    from napari.settings import get_plugin_settings

    try:
        settings = get_plugin_settings(PLUGIN)
    except (KeyError, ValueError):
        # Run from source without being installed: napari does not know the plugin.
        return None
    return getattr(getattr(settings, group, None), key, None)
