"""``python -m napari_pathfm.viewer FILE...``: napari with slides and the panel."""

from __future__ import annotations

import sys
from pathlib import Path

PLUGIN = "napari-pathfm"
PANEL = "Pathology models"
_OBJECTS = (".geojson", ".geojson.gz")


def main(paths: list[str]) -> int:
    """Open files in napari with the panel docked; return when the window is closed.

    Parameters
    ----------
    paths : list of str
        Slides, then objects on them (``.geojson``); sessions (``.json``).

    Returns
    -------
    int
        1 where a session cannot be read, which is said before a window opens.
    """
    from napari_pathfm.errors import PathfmError
    from napari_pathfm.viewer.session import read_session

    sessions = [Path(path) for path in paths if path.lower().endswith(".json")]
    try:
        for session in sessions:
            read_session(session)
    except PathfmError as error:
        print(f"napari-pathfm: {error}", file=sys.stderr)
        return 1
    import napari

    viewer = napari.Viewer()
    others = [path for path in paths if not path.lower().endswith(".json")]
    # Objects lie on the slide that is open by then.
    objects = [path for path in others if path.lower().endswith(_OBJECTS)]
    slides = [path for path in others if path not in objects]
    for files in (slides, objects):
        if files:
            viewer.open(files, plugin=PLUGIN)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
    for session in sessions:
        panel.sessions.open_from(session)
    napari.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
