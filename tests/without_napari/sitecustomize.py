"""Make napari and Qt impossible to import: what `pytest --no-napari` runs under.

Python imports a module of this name at its start, so with this folder on PYTHONPATH the
programs that tests start are held to it too.
"""

import sys

FORBIDDEN = {
    "PyQt5",
    "PyQt6",
    "PySide2",
    "PySide6",
    "magicgui",
    "napari",
    "qtpy",
    "superqt",
    "vispy",
}


class _Absent:
    """A finder that asked for a forbidden package answers that there is none."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ModuleNotFoundError(
                f"{name} cannot be imported under --no-napari", name=name
            )


sys.meta_path.insert(0, _Absent)
