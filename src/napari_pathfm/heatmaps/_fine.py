"""Similarity patch by patch: 7 um where a tile map has 112."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import OutsideSlideError, StoreError
from napari_pathfm.heatmaps._heatmap import Heatmap
from napari_pathfm.heatmaps._patch_places import patches_under
from napari_pathfm.heatmaps._places import named, plain
from napari_pathfm.heatmaps._similarity import spread
from napari_pathfm.heatmaps._vectors import normalised

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.heatmaps._patches import Box, PatchVectors
    from napari_pathfm.heatmaps._places import Place
    from napari_pathfm.heatmaps._similarity import Reduce

#: Tiles that one rectangle may hold: a square of 7 mm at 112 um a tile.
MOST_FINE_TILES = 4096
_TILES_AT_ONCE = 8


class FineSimilarity:
    """Cosine similarity of patches to places, kept tile by tile while the places stay.

    A place stands for the mean of the patch vectors under it. CLS, which stands for
    tiles, is no measure for patches: it lies elsewhere in the encoder's space.

    Parameters
    ----------
    patches : PatchVectors
        Of the slide. The tiles under the places are encoded if they must be.
    like, unlike : sequence of places
        As for `similarity`; `patches_under` says which patches they mean.
    reduce : {"mean", "max"}
        As for `similarity`.
    cancelled : callable, optional
        Asked between batches of tiles.

    Raises
    ------
    OutsideSlideError
        A place holds no tissue tile.
    StoreError
        No place is given, or the tile at one cannot be read.
    Cancelled
        It was asked to stop.
    """

    def __init__(
        self,
        patches: PatchVectors,
        like: Sequence[Place],
        unlike: Sequence[Place] = (),
        *,
        reduce: Reduce = "mean",
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        if not like:
            raise StoreError("similarity needs at least one point to be like")
        if reduce not in ("mean", "max"):
            raise ValueError(f"reduce is 'mean' or 'max', not {reduce!r}")
        self.patches = patches
        self._reduce = reduce
        self._places = {
            "like": [plain(place) for place in like],
            "unlike": [plain(place) for place in unlike],
        }
        self._like = self._directions(like, cancelled)
        self._unlike = self._directions(unlike, cancelled) if unlike else None
        # Of each tile that was asked for: 1 KiB, where its vectors take 100 and more.
        self._scores: dict[int, NDArray[np.float32]] = {}

    def has(self, row: int) -> bool:
        """Whether a tile's values are known."""
        return row in self._scores

    def score(self, row: int, vectors: NDArray[np.float16]) -> None:
        """Compare a tile's patches, float16 ``(side, side, D)``, with the places."""
        flat = vectors.reshape(-1, vectors.shape[-1]).astype(np.float32)
        values = (flat @ self._like).max(axis=1)
        if self._unlike is not None:
            values = values - (flat @ self._unlike).max(axis=1)
        values[~self.patches.tissue(row).ravel()] = np.nan
        self._scores[row] = values.reshape(vectors.shape[:2])

    def recall(self, rows: NDArray[np.int64]) -> None:
        """Compare those of some tiles whose vectors are in memory."""
        for row in rows.tolist():
            if row not in self._scores:
                vectors = self.patches.known(row)
                if vectors is not None:
                    self.score(row, vectors)

    def heatmap(self, cells: tuple[slice, slice]) -> Heatmap:
        """Give what is known of some patches; see `PatchVectors.cells_in`."""
        patches, side = self.patches, self.patches.side
        first = [part.start // side for part in cells]
        count = [
            max(1, -(-c.stop // side) - f) for c, f in zip(cells, first, strict=True)
        ]
        blocks = np.full((count[0], side, count[1], side), np.nan, np.float32)
        rows = patches.rows_in(cells)
        for row in rows.tolist():
            if row in self._scores:
                down, across = (patches.grid.cells[row] - first).tolist()
                blocks[down, :, across] = self._scores[row]
        whole = blocks.reshape(count[0] * side, count[1] * side)
        down, across = (
            slice(c.start - f * side, c.stop - f * side)
            for c, f in zip(cells, first, strict=True)
        )
        x, y = patches.origin
        corner = (
            x + cells[1].start * patches.stride,
            y + cells[0].start * patches.stride,
        )
        return Heatmap(
            np.ascontiguousarray(whole[down, across]),
            corner,
            patches.stride,
            patches.slide.require_mpp(),
            f"similarity, {patches.cell_um:g} um",
            self._limits(),
            self._provenance(),
        )

    def _limits(self) -> tuple[float, float]:
        """Spread colours over all that was asked for, so that a view keeps its own."""
        known = list(self._scores.values())
        if not known:
            return (0.0, 1.0)
        values = np.stack(known[:: 1 + len(known) // 512])
        values = values[~np.isnan(values)]
        return spread(values) if values.size else (0.0, 1.0)

    def _provenance(self) -> dict[str, Any]:
        from napari_pathfm import __version__

        slide, encoder = self.patches.slide, self.patches.encoder
        return {
            "encoder": encoder.spec.name,
            "encoder_spec": encoder.spec.digest,
            "weights_revision": encoder.revision,
            "slide": slide.path.name,
            "slide_fingerprint": slide.fingerprint,
            "slide_mpp": slide.require_mpp(),
            "tile_px": self.patches.grid.px,
            "patch_px": encoder.spec.patch_px,
            "mpp": self.patches.grid.mpp,
            "icc_applied": slide.icc_applied,
            "software": f"napari-pathfm {__version__}",
            "kind": "patch similarity",
            "reduce": self._reduce,
            **self._places,
        }

    def _directions(
        self, places: Sequence[Place], cancelled: Callable[[], bool] | None
    ) -> NDArray[np.float32]:
        """Give what patches are multiplied with: float32 ``(D, K)``."""
        means = np.stack([self._mean(place, cancelled) for place in places])
        if self._reduce == "mean":
            means = means.mean(0, keepdims=True)
        return np.ascontiguousarray(normalised(means).T)

    def _mean(
        self, place: Place, cancelled: Callable[[], bool] | None
    ) -> NDArray[np.float32]:
        wanted = patches_under(self.patches, place)
        found = []
        for row, vectors in self.patches.load(
            list(wanted), batch=_TILES_AT_ONCE, cancelled=cancelled
        ):
            found.append(vectors[wanted[row]].astype(np.float32))
        if not found:
            raise StoreError(f"the tile at {named(place)} cannot be read")
        return normalised(np.concatenate(found).mean(0))


def fine_similarity(
    patches: PatchVectors,
    box: Box,
    like: Sequence[Place],
    unlike: Sequence[Place] = (),
    *,
    reduce: Reduce = "mean",
    progress: Callable[[int, int], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Heatmap:
    """Similarity of every patch in a rectangle to the patches at chosen places.

    Parameters
    ----------
    patches : PatchVectors
        Of the slide.
    box : (x, y, width, height)
        Level-0 pixels. The map has every patch that the rectangle touches, on a lattice
        that all rectangles of the slide share.
    like, unlike, reduce
        As for `FineSimilarity`.
    progress : callable, optional
        Called as ``progress(done, total)`` with tiles.
    cancelled : callable, optional
        Asked between batches.

    Returns
    -------
    Heatmap
        One cell a patch; NaN where there is no tissue, or a tile cannot be read.

    Raises
    ------
    OutsideSlideError
        The rectangle leaves the slide, holds no tissue or over `MOST_FINE_TILES` tiles,
        or a place holds no tissue.
    StoreError
        No place is given, or no tile can be read.
    Cancelled
        It was asked to stop.
    """
    from napari_pathfm.slides import check_box

    name = patches.slide.path.name
    cells = patches.cells_in(check_box(patches.slide, box))
    rows = patches.rows_in(cells)
    if len(rows) > MOST_FINE_TILES:
        raise OutsideSlideError(
            f"{name}: the box holds {len(rows)} tissue tiles and up to "
            f"{MOST_FINE_TILES} are compared patch by patch: choose a smaller one"
        )
    if not any(patches.tissue_in(row, cells).any() for row in rows.tolist()):
        raise OutsideSlideError(f"{name}: there is no tissue in the box")
    fine = FineSimilarity(patches, like, unlike, reduce=reduce, cancelled=cancelled)
    tell = progress or (lambda done, total: None)
    tell(0, len(rows))
    loaded = patches.load(rows, batch=_TILES_AT_ONCE, cancelled=cancelled)
    for done, (row, vectors) in enumerate(loaded, 1):
        fine.score(row, vectors)
        tell(done, len(rows))
    heatmap = fine.heatmap(cells)
    if np.isnan(heatmap.values).all():
        raise StoreError(f"{name}: no tile in the box can be read")
    return heatmap
