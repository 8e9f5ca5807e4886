"""``python -m napari_pathfm.viewer SLIDE...``: napari with slides and the panel."""

from __future__ import annotations

import sys

PLUGIN = "napari-pathfm"
PANEL = "Pathology models"


def main(paths: list[str]) -> int:
    """Open slides in napari with the panel docked; return when the window is closed."""
    import napari

    viewer = napari.Viewer()
    if paths:
        viewer.open(paths, plugin=PLUGIN)
    viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
    napari.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
