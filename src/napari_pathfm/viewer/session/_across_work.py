"""The work behind a search over other slides, as one worker does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_pathfm.errors import IncomparableError, PathfmError, StoreError
from napari_pathfm.viewer.session._gallery import COUNT, small_picture
from napari_pathfm.viewer.session._session_slides import find_slide

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.heatmaps import Hit
    from napari_pathfm.viewer.session._jobs import Job


class SlideFacts(NamedTuple):
    """What a store tells of its slide, and where that was found.

    Attributes
    ----------
    name : str
        Of its file, without the suffix.
    fingerprint : str
    mpp : float or None
        Micrometres per level-0 pixel where a person has said so.
    side : float
        Of a tile, in level-0 pixels.
    path : Path or None
        Where it is; None where it was not found.
    """

    name: str
    fingerprint: str
    mpp: float | None
    side: float
    path: Path | None


class OtherTile(NamedTuple):
    """A tile of another slide.

    Attributes
    ----------
    hit : Hit
        Where in its slide, and its score.
    slide : SlideFacts
    pixels : uint8 array, (56, 56, 3), or None
        None where the slide was not found or cannot be read.
    """

    hit: Hit
    slide: SlideFacts
    pixels: NDArray[np.uint8] | None


class Answer(NamedTuple):
    """What a search found.

    Attributes
    ----------
    tiles : list of OtherTile
        The most similar first.
    left_out : str
        What was not looked at, or could not be shown; empty where nothing.
    """

    tiles: list[OtherTile]
    left_out: str


@dataclass
class LookingAcross:
    """Search stores for what is like places of a slide, and read what is found.

    Parameters
    ----------
    query : EmbeddingStore
        Of the slide with the places; it may be filling.
    places : list of places
        Points and outlines, level-0.
    where : Path
        A folder of stores, a store, or an index.
    open_slides : dict
        Fingerprint to path of slides that are open.
    """

    query: EmbeddingStore
    places: list[Any]
    where: Path
    open_slides: dict[str, Path]

    def run(self, job: Job) -> Answer:
        """Do it.

        Raises
        ------
        PathfmError
            What searching may meet.
        Cancelled
            The job was.
        """
        from napari_pathfm.embeddings import find_stores
        from napari_pathfm.heatmaps import open_index, search

        if not self.where.exists():
            raise StoreError(
                f"{self.where} does not exist: choose a folder with stores of other "
                "slides"
            )
        job.say("looking for stores")
        unlike: list[Path] = []
        unread: list[Path] = []

        def left_out(path: Path, error: StoreError) -> None:
            incomparable = isinstance(error, IncomparableError)
            (unlike if incomparable else unread).append(path)

        places = self._embedded()
        if self.where.is_file():
            among: Any = open_index(self.where)
        else:
            among = find_stores([self.where])
        job.say("")
        hits = search(
            self.query,
            places,
            among,
            COUNT,
            others=True,
            on_left_out=left_out,
            progress=job.report,
            cancelled=job.cancelled,
        )
        job.say("reading tiles")
        tiles = self._tiles(hits, job)
        lines = []
        if unlike:
            lines.append(f"{_stores(unlike)} of another encoder or pixel size")
        if unread:
            lines.append(f"{_stores(unread)} that cannot be read ({_names(unread)})")
        said = f"Left out: {' and '.join(lines)}." if lines else ""
        gone = sorted({tile.slide.name for tile in tiles if tile.pixels is None})
        if gone:
            said += f" Not found, or not to be read: {', '.join(gone)}."
        return Answer(tiles, said.strip())

    def _embedded(self) -> list[Any]:
        """Give the places of which at least one tile is there to compare with."""
        from napari_pathfm.heatmaps import rows_at

        grid, done = self.query.grid, self.query.done
        places = [place for place in self.places if done[rows_at(grid, place)].any()]
        if not places:
            raise StoreError(
                "Nothing of what the map should be like is embedded yet: wait a moment."
            )
        return places

    def _tiles(self, hits: list[Hit], job: Job) -> list[OtherTile]:
        """Read small pictures, slide by slide."""
        from napari_pathfm.slides import open_slide

        pixels: dict[Hit, Any] = {}
        slides = {store: self._slide(store) for store in {hit.store for hit in hits}}
        for store, (facts, mpp) in slides.items():
            if facts.path is None or job.cancelled():
                continue
            own = [hit for hit in hits if hit.store == store]
            try:
                with open_slide(facts.path, mpp=mpp) as slide:
                    for hit in own:
                        pixels[hit] = small_picture(slide, hit.x, hit.y, facts.side)
            except PathfmError:
                # Shown as a place without a picture, and said in one line.
                continue
        return [OtherTile(hit, slides[hit.store][0], pixels.get(hit)) for hit in hits]

    def _slide(self, store: str) -> tuple[SlideFacts, float]:
        """Find a store's slide: among those that are open, where it was, or near."""
        from napari_pathfm.embeddings import open_store

        attrs = open_store(store).attrs
        told = str(attrs.get("slide_path") or attrs.get("slide") or "")
        fingerprint = str(attrs.get("slide_fingerprint") or "")
        path = self.open_slides.get(fingerprint)
        if path is None and told and fingerprint:
            beside = [slide.parent for slide in self.open_slides.values()]
            path = find_slide(
                {"path": told, "relative": None, "fingerprint": fingerprint},
                [Path(store).parent, *beside],
            )
        mpp = float(attrs["slide_mpp"])
        facts = SlideFacts(
            Path(told or store).stem,
            fingerprint,
            mpp if attrs.get("slide_mpp_source") == "user" else None,
            float(attrs["tile_px"]) * float(attrs["mpp"]) / mpp,
            path,
        )
        return facts, mpp


def _stores(paths: list[Path]) -> str:
    return f"{len(paths)} store{'' if len(paths) == 1 else 's'}"


def _names(paths: list[Path]) -> str:
    shown = ", ".join(path.name for path in paths[:2])
    return shown if len(paths) <= 2 else f"{shown} and {len(paths) - 2} more"
