"""Classes and painted labels in a session file."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.heatmaps import TissueClass
from napari_pathfm.viewer.session._class_layer import labels_layer
from napari_pathfm.viewer.session._class_list import MOST_CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._session_file import Bulk

# The cells of the largest slides that exist; a file cannot ask for more memory.
_MOST_CELLS = 1 << 26


class ClassesSection:
    """Names, colours, and what is painted on every slide, by its fingerprint."""

    name = "classes"

    def write(self, session: Session, bulk: Bulk) -> Any:
        """Give classes, the one in hand, and ``{fingerprint: [shape, zlib]}``."""
        classes = session.classes.list
        labels = {}
        for state in session.states():
            layer = labels_layer(session.viewer, state)
            if layer is not None and np.any(layer.data):
                packed = zlib.compress(np.ascontiguousarray(layer.data).tobytes(), 6)
                labels[state.fingerprint] = [
                    list(layer.data.shape),
                    base64.b64encode(packed).decode("ascii"),
                ]
        if not len(classes) and not labels:
            return None
        return {
            "classes": [[one.name, list(one.color)] for one in classes.items],
            "current": classes.current,
            "labels": labels,
        }

    def read(self, session: Session, data: Any, bulk: Bulk) -> Iterable[str]:
        """Bring them back; labels of slides that are not open are told of."""
        classes = tuple(_class(*item) for item in data["classes"])
        if len(classes) > MOST_CLASSES:
            raise ValueError("it has too many classes")
        current = int(data["current"])
        if not 0 <= current < max(1, len(classes)):
            raise ValueError("its current class is none of its classes")
        found = {str(key): _cells(*item) for key, item in data["labels"].items()}
        session.classes.list.replace(classes)
        for state in session.states():
            cells = found.pop(state.fingerprint, None)
            if cells is None or state.mpp is None:
                continue
            layer = session.classes.brush.make_layer(state)
            if layer.data.shape != cells.shape:
                yield f"Labels of {state.slide.name} are of another pixel size."
                continue
            layer.data = cells
            session.similarity.embed(state)
        session.classes.list.current = current
        if found:
            yield f"Labels of {len(found)} slides that are not open were left out."


def _class(name: Any, color: Any) -> TissueClass:
    red, green, blue = (int(channel) for channel in color)
    if not all(0 <= channel <= 255 for channel in (red, green, blue)):
        raise ValueError("one of its colours is none")
    return TissueClass(str(name), (red, green, blue))


def _cells(shape: Any, packed: Any) -> np.ndarray:
    rows, columns = (int(side) for side in shape)
    if rows < 1 or columns < 1 or rows * columns > _MOST_CELLS:
        raise ValueError("its labels have no possible size")
    unpacking = zlib.decompressobj()
    try:
        raw = unpacking.decompress(base64.b64decode(packed), rows * columns + 1)
    except zlib.error as error:
        raise ValueError("its labels are damaged") from error
    if len(raw) != rows * columns:
        raise ValueError("its labels do not fit their size")
    return np.frombuffer(raw, np.uint8).reshape(rows, columns).copy()
