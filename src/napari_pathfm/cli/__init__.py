"""The command line: ``napari-pathfm VERB ...``, the plugin's verbs from a shell."""

from napari_pathfm.cli._main import main

__all__ = ["main"]
