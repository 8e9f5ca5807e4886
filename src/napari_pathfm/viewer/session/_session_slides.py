"""The slides of a session file: written with every way to find them again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import PathfmError, SessionError
from napari_pathfm.slides import open_slide
from napari_pathfm.viewer._metadata import entry, layers_of
from napari_pathfm.viewer.session._given_store import name_on

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._session_file import Bulk

# Files of a folder that are opened to see whether they are the slide that has moved.
_MOST_TRIED = 200


class SlidesSection:
    """Which slides are open, by path and fingerprint."""

    name = "slides"

    def write(self, session: Session, bulk: Bulk) -> Any:
        """Give a list, in the order of the layers."""
        here = bulk.folder.parent
        kept = []
        for state in session.states():
            path = Path(state.slide.path).absolute()
            kept.append(
                {
                    "path": str(path),
                    "relative": _relative(path, here),
                    "fingerprint": state.fingerprint,
                    "mpp": state.mpp,
                    "mpp_source": state.slide.mpp_source,
                    "name": state.layer.name,
                    "visible": bool(state.layer.visible),
                    "opacity": float(state.layer.opacity),
                    "store": (entry(state.layer) or {}).get("store"),
                }
            )
        open_ = {facts["fingerprint"] for facts in kept}
        kept += [s for s in session.missing_slides if s["fingerprint"] not in open_]
        return kept or None

    def read(self, session: Session, data: Any, bulk: Bulk) -> Iterable[str]:
        """Open them, where they lie now; what is not found is told and kept."""
        here = bulk.folder.parent
        facts = [_checked(one) for one in data]
        folders = [here]
        for one in facts:
            if layers_of(session.viewer.layers, "slide", one["fingerprint"]):
                continue
            path = find_slide(one, folders)
            if path is None:
                session.missing_slides.append(one)
                yield (
                    f"The slide {Path(one['path']).name} was not found: put it beside "
                    f"{here}, or open it; what belongs to it waits."
                )
                continue
            if path != Path(one["path"]):
                yield f"The slide {path.name} was found at {path}."
            folders.append(path.parent)
            own = one["mpp"] if one["mpp_source"] == "user" else None
            shown = {key: one[key] for key in ("name", "visible", "opacity")}
            layer = add_slide(session.viewer, path, own, **shown)
            if one["store"] is not None:
                name_on(layer, Path(one["store"]))


def find_slide(facts: dict[str, Any], folders: Iterable[Path]) -> Path | None:
    """Find a slide that may have moved, by its fingerprint.

    Looked at are, in order: where it was; the same way from the session file; files of
    its name in `folders`; and all files of its suffix there.
    """
    for path in _candidates(facts, list(dict.fromkeys(folders))):
        if not path.exists():
            continue
        try:
            with open_slide(path) as slide:
                if slide.fingerprint == facts["fingerprint"]:
                    return path
        except PathfmError:
            continue
    return None


def _candidates(facts: dict[str, Any], folders: list[Path]) -> Iterator[Path]:
    told = Path(facts["path"])
    yield told
    if facts["relative"]:
        yield folders[0] / facts["relative"]
    for folder in folders:
        yield folder / told.name
    for folder in folders:
        try:
            near = sorted(folder.iterdir())
        except OSError:
            continue
        same = [p for p in near if p.suffix.lower() == told.suffix.lower()]
        yield from same[:_MOST_TRIED]


def add_slide(
    viewer: ViewerModel, path: Path, mpp: float | None, **shown: Any
) -> Layer:
    """Open a slide as the reader does, which File > Open asks.

    Parameters
    ----------
    viewer : ViewerModel
    path : Path
    mpp : float or None
        Micrometres per level-0 pixel, where a person has said so.
    **shown
        How its layer is shown, as napari calls it.

    Raises
    ------
    SlideError
        It cannot be opened.
    """
    from napari_pathfm.viewer._reader import slide_layer_data

    data, keywords, _ = slide_layer_data(open_slide(path, mpp=mpp))
    layer: Layer = viewer.add_image(data, **keywords | shown)
    return layer


def _checked(facts: Any) -> dict[str, Any]:
    """Take what the file says as what it must be, and nothing else."""
    mpp, opacity = facts["mpp"], float(facts["opacity"])
    if mpp is not None and not 0.01 <= float(mpp) <= 100:
        raise SessionError(f"{mpp!r} is no pixel size")
    relative, store = facts.get("relative"), facts.get("store")
    return {
        "path": str(facts["path"]),
        "relative": None if relative is None else str(relative),
        "fingerprint": str(facts["fingerprint"]),
        "mpp": mpp,
        "mpp_source": facts["mpp_source"],
        "name": str(facts["name"])[:200],
        "visible": bool(facts["visible"]),
        "opacity": min(max(opacity, 0.0), 1.0),
        "store": None if store is None else str(store),
    }


def _relative(path: Path, folder: Path) -> str | None:
    try:
        return os.path.relpath(path, folder.absolute())
    except ValueError:  # another drive of Windows
        return None
