"""What a session file consists of: an open set of sections, each with its own part.

A part of the viewer that has something to keep adds a `Section` to `Session.sections`.
A section that nobody here knows, from a later version say, is carried along unread.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

from napari_pathfm.errors import PathfmError, SessionError
from napari_pathfm.viewer.session._prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._session_file import Bulk


class Section(Protocol):
    """One named part of a session file."""

    #: Its name in the file.
    name: str

    def write(self, session: Session, bulk: Bulk) -> Any:
        """Give what to keep, as JSON values without NaN; None for nothing."""
        ...

    def read(self, session: Session, data: Any, bulk: Bulk) -> Iterable[str]:
        """Bring back what `write` gave, and yield lines for people: what was not found.

        Raises
        ------
        PathfmError, KeyError, TypeError, ValueError, AttributeError
            The data are not what `write` gives; all of them are told as one line.
        """
        ...


class PromptsSection:
    """The prompts of every slide, by its fingerprint."""

    name = "prompts"

    def write(self, session: Session, bulk: Bulk) -> Any:
        """Give ``{fingerprint: [[x, y, role]]}``."""
        kept = {
            state.fingerprint: [[p.x, p.y, p.role] for p in state.prompts.items]
            for state in session.states()
            if state.prompts.items
        }
        return {**session.waiting_prompts, **kept} or None

    def read(self, session: Session, data: Any, bulk: Bulk) -> Iterable[str]:
        """Give each slide its own; those of slides that are not open wait for them."""
        found = {
            str(fingerprint): [_prompt(item) for item in items]
            for fingerprint, items in data.items()
        }
        for state in session.states():
            if prompts := found.pop(state.fingerprint, None):
                state.prompts.replace(prompts)
        session.waiting_prompts |= {
            key: [list(prompt) for prompt in prompts] for key, prompts in found.items()
        }
        return ()


class SettingsSection:
    """What the panel is set to: encoder, overlap, generator and how it samples.

    Not whether a repository's code may run: a file that others send has no say in that.
    """

    name = "settings"

    def write(self, session: Session, bulk: Bulk) -> Any:
        """Give the settings, and where the current slide's embeddings are."""
        synthesis, similarity = session.synthesis, session.similarity
        store = similarity.store_path
        return {
            "similarity": {
                "encoder": similarity.encoder,
                "overlap": similarity.overlap,
                "store": None if store is None else str(store),
                "fine": session.fine.on,
            },
            "synthesis": {
                "generator": synthesis.generator,
                "preset": synthesis.preset,
                **{key: getattr(synthesis, key) for key in _NUMBERS},
            },
        }

    def read(self, session: Session, data: Any, bulk: Bulk) -> Iterable[str]:
        """Set the panel; a model that is not in the catalogue is told."""
        from napari_pathfm.viewer.session._store_files import OVERLAPS

        models = session.models
        similarity, synthesis = data["similarity"], data["synthesis"]
        numbers = {key: number(synthesis[key], *_NUMBERS[key]) for key in _NUMBERS}
        if any(value % 1 for key, value in numbers.items() if key != "guidance"):
            raise ValueError("its counts are no whole numbers")
        overlap, encoder = similarity["overlap"], similarity["encoder"]
        generator, preset = synthesis["generator"], synthesis["preset"]
        if overlap not in OVERLAPS or preset not in ("paper", "fast", "own"):
            raise ValueError("its choices are not known")
        if encoder in {choice.name for choice in models.encoder_choices()}:
            session.similarity.encoder = encoder
        else:
            yield f"The encoder {str(encoder)[:40]!r} is not in the catalogue."
        session.similarity.overlap = overlap
        # Files of early versions have no such switch.
        session.fine.on = similarity.get("fine") is True
        if generator in {choice.name for choice in models.generator_choices()}:
            session.synthesis.generator = generator
        else:
            yield f"The generator {str(generator)[:40]!r} is not in the catalogue."
        session.synthesis.preset = preset
        for key, value in numbers.items():
            setattr(session.synthesis, key, value)
        session.synthesis.changed.emit()


class ViewSection:
    """Where the camera stands and which slide is worked on."""

    name = "view"

    def write(self, session: Session, bulk: Bulk) -> Any:
        """Give centre and zoom in the world's units, and the current slide."""
        camera = session.viewer.scene.camera
        current = session.current
        return {
            "center": [float(value) for value in camera.center][-2:],
            "zoom": float(camera.zoom),
            "slide": None if current is None else current.fingerprint,
        }

    def read(self, session: Session, data: Any, bulk: Bulk) -> Iterable[str]:
        """Look there again."""
        center = [number(value, -1e9, 1e9) for value in data["center"]]
        zoom = number(data["zoom"], 1e-9, 1e9)
        if len(center) != 2:
            raise ValueError("its centre is no place")
        for state in session.states():
            if state.fingerprint == data["slide"]:
                session.viewer.layers.selection.active = state.layer
        camera = session.viewer.scene.camera
        camera.center = (0.0, *center)
        camera.zoom = zoom
        return ()


# With the least and the largest that a file may set.
_NUMBERS: dict[str, tuple[float, float]] = {
    "n": (1, 64),
    "seed": (0, 2**31 - 1),
    "frames": (2, 99),
    "steps": (1, 1000),
    "guidance": (0, 100),
}


def damaged(path: Path, name: str, error: Exception) -> SessionError:
    """Say in one line what is wrong with a section."""
    if isinstance(error, PathfmError):
        reason = str(error)
    else:
        reason = f"{type(error).__name__}: {error}"
    reason = " ".join(reason.split())[:160]
    return SessionError(
        f"{path.name}: its section {name[:40]!r} was left out ({reason})"
    )


def _prompt(item: Any) -> Prompt:
    x, y, role = item
    if role not in ("like", "unlike"):
        raise ValueError(f"a prompt cannot be {str(role)[:20]!r}")
    return Prompt(float(number(x, -1e9, 1e9)), float(number(y, -1e9, 1e9)), role)


def number(value: Any, low: float, high: float) -> Any:
    """Take a file's word for a number, if it is one and in range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{str(value)[:20]!r} is no number")
    if not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{value!r} is out of range")
    return value
