"""Tiles to learn from: whole slides, folders of tiles, or both, balanced by site.

A sample is drawn from a site, then a slide of it, then a place on that: no scanner,
laboratory or large slide drowns the rest. What is held out is so by name, and whole.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.training._config import AtLeast, Between
from napari_pathfm.training._places import through_jpeg
from napari_pathfm.training._sources import find_places
from napari_pathfm.training._turn import judging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.training._places import Place
    from napari_pathfm.training._turn import Turn

T = TypeVar("T")

# Streams of `Turn.sample`: where a sample comes from, and after it what is made of it.
_STREAM = 0


@dataclass(frozen=True)
class Data:
    """``[data]``: where tiles come from. Paths are relative to ``--data``.

    Attributes
    ----------
    slides : tuple of str
        Whole slides, by patterns such as ``"slides/*.svs"``.
    tiles : tuple of str
        Folders with PNG and JPEG files; below each, a folder is a slide (a file where
        there are none).
    held_out : tuple of str
        Patterns of names that nothing is learnt from: of a slide the file's name
        without suffix, of a tile its path in its folder (``"*Case-48*"``, ``"test/*"``,
        without suffix too).
    sites : str or None
        A CSV with the columns ``name`` and ``site``, by the same patterns.
    site_by : {"folder", "tcga", "source"}
        Where the site stands if no CSV says: the folder's name; the second part of a
        TCGA barcode, which is the tissue source site; or each slide, and each folder of
        pictures, by itself.
    balance : {"sites", "slides"}
        What is drawn first, each as often as any other.
    tile_px, mpp : int, float
        What is given out.
    zoom : (float, float)
        Range of the factor by which a drawn square is larger than that.
    slide_mpp, tiles_mpp : float or None
        Of slides whose files do not say; of the folders' pictures (as `mpp` if not
        given: they are cut and not scaled).
    jpeg : int
        Quality of a JPEG that every tile is sent through; 0 leaves tiles as they are.
    judged : int
        How many fixed tiles of either side the run is judged on.
    """

    slides: tuple[str, ...] = ()
    tiles: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    sites: str | None = None
    site_by: Literal["folder", "tcga", "source"] = "folder"
    balance: Literal["sites", "slides"] = "sites"
    tile_px: Annotated[int, AtLeast(8)] = 224
    mpp: Annotated[float, AtLeast(0.01)] = 0.5
    zoom: tuple[float, float] = (1.0, 1.0)
    slide_mpp: float | None = None
    tiles_mpp: float | None = None
    jpeg: Annotated[int, Between(0, 100)] = 0
    judged: Annotated[int, AtLeast(1)] = 64

    def problem(self) -> str | None:
        """Say what cannot be, as ``key: why``."""
        if not (self.slides or self.tiles):
            return "slides: there is nothing to learn from; name slides or tiles"
        for pattern in self.slides:
            if Path(pattern).is_absolute():
                return f"slides: {pattern} is no pattern below --data"
        if not 0.1 <= self.zoom[0] <= self.zoom[1] <= 10:
            return f"zoom: {self.zoom} is no range from small to large"
        return None


class Side:
    """Tiles of the slides that are learnt from, or of those that are held out.

    Parameters
    ----------
    places : sequence of Place
        At least one.
    data : Data
        How tiles are cut.
    workers : int
        Threads that read the next turn's tiles while this one's are used; 0 for none.
    """

    def __init__(self, places: Sequence[Place], data: Data, workers: int = 0) -> None:
        groups: dict[str, dict[str, list[Place]]] = defaultdict(dict)
        for place in places:
            first = place.site if data.balance == "sites" else ""
            groups[first].setdefault(place.slide, []).append(place)
        self._groups = [list(slides.values()) for slides in groups.values()]
        self._data = data
        self._pool = ThreadPoolExecutor(workers) if workers else None
        self._ahead: dict[tuple[int, int], list[Future[Any]]] = {}

    def draw(self, turn: Turn) -> NDArray[np.uint8]:
        """Give the tiles of a turn, uint8 ``(size, tile_px, tile_px, 3)``."""
        return np.stack(self.draw_with(turn, _as_it_is))

    def draw_with(
        self, turn: Turn, make: Callable[[NDArray[np.uint8], np.random.Generator], T]
    ) -> list[T]:
        """Give what ``make(tile, rng)`` makes of each tile, in the reading threads.

        Of one side, always with the same ``make``: the next turn's are made ahead.
        """
        if self._pool is None:
            return [self._made(turn, i, make) for i in range(turn.size)]
        waiting = self._ahead.pop((turn.step, turn.part), None)
        if waiting is None:
            waiting = self._ask(turn, make)
        following = turn.following()
        place = (following.step, following.part)
        self._ahead = {place: self._ask(following, make)}
        return [future.result() for future in waiting]

    def judged(self, seed: int = 0) -> NDArray[np.uint8]:
        """Give the fixed tiles to judge by, uint8 ``(judged, tile_px, tile_px, 3)``."""
        turn = judging(seed, self._data.judged)
        return np.stack([self.tile(turn, i) for i in range(turn.size)])

    def _ask(self, turn: Turn, make: Callable[..., T]) -> list[Future[T]]:
        assert self._pool is not None
        return [self._pool.submit(self._made, turn, i, make) for i in range(turn.size)]

    def _made(self, turn: Turn, i: int, make: Callable[..., T]) -> T:
        return make(self.tile(turn, i), turn.sample(i, _STREAM + 1))

    def tile(self, turn: Turn, i: int) -> NDArray[np.uint8]:
        """Give the ``i``-th tile of a turn, uint8 ``(tile_px, tile_px, 3)``."""
        rng, data = turn.sample(i, _STREAM), self._data
        slides = self._groups[rng.integers(len(self._groups))]
        places = slides[rng.integers(len(slides))]
        place = places[rng.integers(len(places))]
        tile = place.cut(rng, data.tile_px, data.mpp * rng.uniform(*data.zoom))
        return through_jpeg(tile, data.jpeg) if data.jpeg else tile


@dataclass(frozen=True)
class Tiles:
    """Both sides of a run's data.

    Attributes
    ----------
    learn : Side
        What is learnt from.
    held_out : Side or None
        What is not, if anything.
    facts : dict
        Fingerprint, counts, sites and what is held out, for the provenance.
    """

    learn: Side
    held_out: Side | None
    facts: dict[str, Any]

    def judged(self, side: str) -> NDArray[np.uint8] | None:
        """Fixed tiles of ``"train"`` or ``"held_out"``; None where there are none."""
        chosen = self.learn if side == "train" else self.held_out
        return None if chosen is None else chosen.judged()


def open_tiles(data: Data, root: Path, workers: int = 0) -> Tiles:
    """Find what a config names.

    Parameters
    ----------
    data : Data
        The table.
    root : Path
        What its paths are relative to.
    workers : int
        See `Side`.

    Raises
    ------
    PathfmError
        If something named is not there, nothing is left to learn from, or a pattern of
        what is held out matches nothing.
    """
    places = find_places(data, root)
    for pattern in data.held_out:
        if not any(fnmatchcase(place.name, pattern) for place in places):
            raise PathfmError(
                f"data.held_out: {pattern!r} matches no slide and no tile below "
                f"{root}; names are like {places[0].name!r}"
            )
    held = [p for p in places if _matches(p.name, data.held_out)]
    learn = [p for p in places if not _matches(p.name, data.held_out)]
    if not learn:
        raise PathfmError("data.held_out leaves nothing to learn from")
    both = {p.slide for p in held} & {p.slide for p in learn}
    if both:
        raise PathfmError(
            f"data.held_out holds out a part of {min(both)!r} only: tiles of one slide "
            "are too alike to judge by"
        )
    facts = {
        "digest": _digest(places),
        "slides": len({p.slide for p in learn}),
        "sites": sorted({p.site for p in learn}),
        "held_out": sorted({p.slide for p in held}),
    }
    return Tiles(Side(learn, data, workers), Side(held, data) if held else None, facts)


def _as_it_is(tile: NDArray[np.uint8], _rng: np.random.Generator) -> NDArray[np.uint8]:
    return tile


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _digest(places: Iterable[Place]) -> str:
    """Fingerprint of the files' names and sizes."""
    told = hashlib.sha256()
    for place in places:
        told.update(f"{place.name} {place.path.stat().st_size}\n".encode())
    return told.hexdigest()[:16]
