"""The script of what was done: it grows with the work, and says what is there now.

An action is recorded when it ends, under a key: what it replaces, it follows up in the
script too. What is tied to a layer is part of the script while the layer is there, so
that taking a result back takes its call back, and nobody has to tell the script.
"""

from __future__ import annotations

import os
import uuid
import weakref
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_pathfm.errors import OutputError
from napari_pathfm.viewer._metadata import KEY
from napari_pathfm.viewer._writers import written
from napari_pathfm.viewer.session._script_code import Items, Method, Step, call
from napari_pathfm.viewer.session._script_text import script_text, torch_threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from napari.layers import Layer

    from napari_pathfm.viewer.session._script_code import Value
    from napari_pathfm.viewer.session._session import Session

_PIXELS, _OBJECTS, _PNG = "pixels", "geojson", "png"


@dataclass(eq=False)
class Recorded:
    """One action.

    Attributes
    ----------
    step : Step
        What does it again.
    array : value or None
        The array among its results that tells whether it came out the same.
    layer : weakref or None
        What it belongs to.
    """

    step: Step
    array: Value | None = None
    layer: weakref.ref[Layer] | None = None
    _pixels: Any = None
    _digest: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the array; found when it is first asked for."""
        from napari_pathfm.exports import array_sha256

        if self._pixels is not None:
            self._digest, self._pixels = array_sha256(self._pixels), None
        return self._digest


class Script:
    """The calls behind what a session shows.

    Parameters
    ----------
    session : Session
        Whose viewer says which layers are there.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._recorded: dict[str, Recorded] = {}
        # What gives a layer's contents: it has `to_layer`.
        self._shown: weakref.WeakKeyDictionary[Layer, Value] = (
            weakref.WeakKeyDictionary()
        )
        layers = session.viewer.layers.events
        layers.inserted.connect(self._on_layers)
        layers.removed.connect(self._on_layers)
        written.connect(self._on_written)

    def close(self) -> None:
        """Let go of the viewer and of its writers."""
        layers = self._session.viewer.layers.events
        layers.inserted.disconnect(self._on_layers)
        layers.removed.disconnect(self._on_layers)
        written.disconnect(self._on_written)

    @property
    def stores(self) -> Path:
        """The folder with the session's stores."""
        return self._session.cache / "embeddings"

    def record(
        self,
        key: str,
        step: Step,
        *,
        layer: Layer | None = None,
        array: Value | None = None,
        pixels: Any = None,
        digest: str = "",
    ) -> None:
        """Note an action, in place of the earlier one under its key.

        Parameters
        ----------
        key : str
            What there is one of.
        step : Step
        layer : Layer, optional
            Without which it is no part of the script.
        array : value, optional
            An array among its results, and `pixels` what that was in the window, or
            `digest` its SHA-256.
        pixels : array, optional
        digest : str
        """
        before = self._recorded.get(key)
        if before is not None and before.step != step:
            # What is done otherwise is done after all the rest.
            del self._recorded[key]
        tied = None if layer is None else weakref.ref(layer)
        self._recorded[key] = Recorded(step, array, tied, pixels, digest)
        self.changed.emit()

    def shows(self, layer: Layer, value: Value) -> None:
        """Note what a layer shows: whatever has ``to_layer``."""
        self._shown[layer] = value

    def drop(self, key: str) -> None:
        """Take an action out."""
        if self._recorded.pop(key, None) is not None:
            self.changed.emit()

    def step_of(self, layer: Layer | None) -> Step | None:
        """Give the action that made a layer."""
        for one in self._recorded.values():
            if layer is not None and one.layer is not None and one.layer() is layer:
                return one.step
        return None

    def now(self) -> dict[str, Recorded]:
        """Give the actions behind what is there, in their order."""
        there = set(self._session.viewer.layers)
        return {
            key: one
            for key, one in self._recorded.items()
            if one.layer is None or one.layer() in there
        }

    def text(self) -> str:
        """Give the script as Python; empty while nothing was done."""
        found = list(self.now().values())
        if not found:
            return ""
        shown = [(one.array, one.digest) for one in found if one.array is not None]
        return script_text(
            (one.step for one in found),
            shown,
            stores=str(self.stores.absolute()),
            threads=torch_threads(),
        )

    def save(self, path: Path) -> None:
        """Write the script to a file, whole or not at all.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        neighbour = path.with_name(f".{uuid.uuid4().hex}.partial")
        try:
            neighbour.write_text(self.text(), encoding="utf-8")
            os.replace(neighbour, path)
        except OSError as error:
            raise OutputError(
                f"{path} cannot be written: {error.strerror or error}; choose another "
                "place"
            ) from error
        finally:
            with suppress(OSError):
                neighbour.unlink(missing_ok=True)

    def _on_layers(self) -> None:
        self.changed.emit()

    def _on_written(self, how: str, path: str, layers: Sequence[Any]) -> None:
        """Note that File > Save has written layers, some of which may be ours."""
        own = [(self._match(one), one[1]) for one in layers]
        if not any(layer is not None for layer, _ in own):
            return
        contents = [
            self._contents(layer)
            for layer, attributes in own
            # A slide among them is passed over by the writer too.
            if (attributes.get("metadata") or {}).get(KEY, {}).get("kind") != "slide"
        ]
        if any(one is None for one in contents):
            names = [str(attributes.get("name")) for _, attributes, _ in layers]
            self.record(f"written {path}", Step("by_hand", Items((path, *names))))
            return
        self.record(f"written {path}", Step("written", _writing(how, path, contents)))

    def _match(self, written_layer: Any) -> Layer | None:
        data, attributes, kind = written_layer
        for layer in self._session.viewer.layers:
            if (layer.name, layer._type_string) != (attributes.get("name"), kind):
                continue
            # Of another viewer's layer by the same name the data are others.
            if layer.data is data or kind in ("shapes", "points"):
                return layer
        return None

    def _contents(self, layer: Layer | None) -> Value | None:
        value = None if layer is None else self._shown.get(layer)
        if layer is None or value is None:
            return None
        return Method(value, "to_layer", (), (("name", layer.name),))


def _writing(how: str, path: str, contents: Iterable[Any]) -> Value:
    found = Items(tuple(contents))
    if how == _PNG:
        return call("exports.export_layer_png", found.items[0], path)
    if how == _OBJECTS:
        return call("exports.export_layers_geojson", found, path)
    return call("exports.write_each", path, call("exports.layer_pixels", found))
