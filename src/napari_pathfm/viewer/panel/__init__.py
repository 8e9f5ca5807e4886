"""The docked panel: Qt over the session, and nothing else."""

from napari_pathfm.viewer.panel._panel import ModelsPanel

__all__ = ["ModelsPanel"]
