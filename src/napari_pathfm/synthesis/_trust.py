"""How far to trust a synthetic tile: what is like it on the slide, and is it a copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import PathfmError, StoreError
from napari_pathfm.evaluation import closest_texture, orientations, threshold
from napari_pathfm.synthesis._condition import check_pair
from napari_pathfm.synthesis._fidelity import cosine, embed_tiles
from napari_pathfm.synthesis._neighbours import neighbour_cosines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import GeneratorSpec, SyntheticImage
    from napari_pathfm.slides import Slide

#: Real tiles that are shown.
NEAREST = 6
# Real tiles whose pixels are compared, and of those how many with each other.
_CANDIDATES, _ORIGINALS = 16, 8


@dataclass(frozen=True, eq=False)
class Likeness:
    """A real tile that is like a synthetic one.

    Attributes
    ----------
    x, y : float
        Level-0 pixels of its centre.
    cosine : float
        Of both embeddings, by the encoder that conditioned the generator; the highest
        over flips and quarter turns.
    pixels : ndarray
        uint8 ``(px, px, 3)``.
    """

    x: float
    y: float
    cosine: float
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Trust:
    """What can be said of one synthetic tile.

    Attributes
    ----------
    condition : float or None
        Cosine to what the generator was told, by the encoder that told it: high is
        expected and proves little.
    second : str or None
        Name of the other encoder.
    second_cosine : float or None
        By it: cosine to the real tile in its place.
    second_neighbours : list of float
        The same for the real tiles around that place, ascending.
    nearest : list of Likeness
        The most similar real tiles of the slide, best first.
    pixels : float
        How near the nearest real tile comes, by correlation of texture. The embedding
        is not asked: a tile that follows its condition well is near to it by design.
    pixels_limit : float
        From which that counts as a copy: halfway from where real tiles lie to each
        other to the same tile.
    """

    condition: float | None
    second: str | None
    second_cosine: float | None
    second_neighbours: list[float]
    nearest: list[Likeness]
    pixels: float
    pixels_limit: float

    @property
    def copied(self) -> bool:
        """Whether it is nearer to a real tile than real tiles are to each other."""
        return self.pixels > self.pixels_limit


def trust(
    image: SyntheticImage,
    slide: Slide,
    store: EmbeddingStore,
    encoder: Encoder,
    spec: GeneratorSpec,
    *,
    second: Encoder | None = None,
) -> Trust:
    """Compare a synthetic tile with the slide that it was made from.

    Parameters
    ----------
    image : SyntheticImage
        A whole tile at a place.
    slide : Slide
        Whose fingerprint its provenance names.
    store : EmbeddingStore
        The slide's, by the conditioning encoder.
    encoder : Encoder
        That one.
    spec : GeneratorSpec
        Of the generator.
    second : Encoder, optional
        Another one, to ask as well.

    Raises
    ------
    StoreError
        If the store is not the slide's, by this encoder, or has too few tiles.
    PathfmError
        If the image is no single tile of this slide.
    """
    told = image.provenance
    check_pair(spec, encoder)
    if told.slide_fingerprint != slide.fingerprint or told.box is None:
        raise PathfmError(f"the image was not made of {slide.path.name}")
    if told.action not in ("vary", "walk", "steer"):
        raise PathfmError("only single tiles are compared with the slide")
    if store.attrs.get("weights_revision") != encoder.revision:
        raise StoreError(
            f"{store.path} was made with other weights than the encoder's "
            f"({store.attrs.get('weights_revision')}, here {encoder.revision})"
        )
    done = store.done
    corners, side = store.coords[done].astype(np.float64), store.grid.tile_size
    if len(corners) < 2:
        raise StoreError(f"{store.path} has too few tiles to compare with")
    real = store.features[done][:, : encoder.spec.dim].astype(np.float32)
    views = embed_tiles(encoder, orientations(image.pixels))
    plain = (_normed(views) @ _normed(real).T).max(0)
    rows = np.argsort(-plain, kind="stable")[:_CANDIDATES]
    tiles = [_tile(slide, corners[row], spec) for row in rows]
    own = slide.read(told.box[0], told.box[1], spec.tile_px, spec.tile_px, mpp=spec.mpp)
    pixels, _ = closest_texture([image.pixels], [own, *tiles])
    others = _among(tiles, corners[rows], side)
    if not len(others):
        raise StoreError(
            f"all tiles of {store.path} overlap: there is nothing to say how near real "
            "tiles come to each other"
        )
    by_second, around = _second(slide, image, spec, own, second)
    return Trust(
        told.fidelity.get("cosine_to_condition"),
        None if second is None else second.spec.name,
        by_second,
        around,
        [
            Likeness(
                float(corners[row, 0] + side / 2),
                float(corners[row, 1] + side / 2),
                round(float(plain[row]), 4),
                tile,
            )
            for row, tile in zip(rows[:NEAREST].tolist(), tiles, strict=False)
        ],
        round(float(pixels[0]), 4),
        round(threshold(others), 4),
    )


def _second(
    slide: Slide,
    image: SyntheticImage,
    spec: GeneratorSpec,
    own: NDArray[np.uint8],
    second: Encoder | None,
) -> tuple[float | None, list[float]]:
    """Ask another encoder how near the tile, and its neighbours, are to the place."""
    box = image.provenance.box
    if second is None or box is None:
        return None, []
    made, real = embed_tiles(second, [image.pixels, own])
    return cosine(made, real), neighbour_cosines(slide, box, spec, second, real)


def _among(
    tiles: list[NDArray[np.uint8]], corners: NDArray[np.float64], side: float
) -> NDArray[np.float64]:
    """Correlate real tiles with those that they do not overlap, float64 ``(n,)``."""
    found = []
    for number, tile in enumerate(tiles[:_ORIGINALS]):
        apart = np.abs(corners - corners[number]).max(1) >= side
        others = [t for t, far in zip(tiles, apart, strict=True) if far]
        if others:
            found.append(closest_texture([tile], others)[0][0])
    return np.array(found)


def _tile(
    slide: Slide, corner: NDArray[np.float64], spec: GeneratorSpec
) -> NDArray[np.uint8]:
    x, y = corner.tolist()
    return slide.read(x, y, spec.tile_px, spec.tile_px, mpp=spec.mpp)


def _normed(features: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit: NDArray[np.float32] = features / np.maximum(lengths, 1e-12)
    return unit
