"""Registered slides, or folders of the same tiles, looked at by an encoder."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import MissingMppError, PathfmError
from napari_pathfm.evaluation._codec import codec_of
from napari_pathfm.evaluation._registered import Registered, name_conditions
from napari_pathfm.evaluation._tiles import (
    encode_tiles,
    encoder_facts,
    fit,
    onward,
    pictures_in,
    read_tile,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.slides import Slide

    Progress = Callable[[int, int], None]

# Registered slides cover the same field; more apart than this they do not.
_ASPECT = 0.05


def registered_slides(
    paths: Sequence[Path],
    encoder: Encoder,
    *,
    mpp: float | None = None,
    tile: float | None = None,
    stride: float | None = None,
    table: Path | None = None,
    progress: Progress | None = None,
) -> Registered:
    """Encode the same lattice of places on slides of the same field.

    The lattice is laid over the first slide. Another slide may have other pixels: its
    places are the same fractions of its width and height.

    Parameters
    ----------
    paths : sequence of Path
        Slides or pictures, registered: all show the same field, edge to edge.
    encoder : Encoder
        What looks.
    mpp : float, optional
        Micrometres per level-0 pixel of the first slide, where its file does not say.
    tile : float, optional
        Side of a tile in level-0 pixels of the first slide; by default the encoder's
        own tile at its own mpp.
    stride : float, optional
        From one place to the next, in the same pixels; `tile` by default.
    table : Path, optional
        Which file is which staining and scanner; see `name_conditions`.
    progress : callable, optional
        Hears ``(tiles done, tiles)``.

    Raises
    ------
    PathfmError
        If the slides are of other shapes, or hold no place.
    MissingMppError
        If the size of a tile can be told neither from `tile` nor from an mpp.
    """
    from napari_pathfm.slides import open_slide

    conditions = name_conditions([path.stem for path in paths], table)
    spec = encoder.spec
    with open_slide(paths[0], mpp=mpp) as slide:
        own, source = slide.mpp, slide.mpp_source
        side = _side(tile, own, spec.tile_px * spec.mpp, paths[0].name)
        step = side if stride is None else stride
        places = lattice(slide, side, step)
    with ExitStack() as stack:
        # With a nominal pixel of 1 um: only ratios are needed from here on.
        slides = [stack.enter_context(open_slide(path, mpp=1.0)) for path in paths]
        features: list[NDArray[np.float32]] = []
        for slide in slides:
            done = len(features) * len(places)
            features.append(
                encode_tiles(
                    _read(slide, slides[0], places, side, spec.tile_px),
                    encoder,
                    progress=onward(progress, done, len(slides) * len(places)),
                )
            )
    overlap = max(0.0, 1 - step / side)
    notes = []
    if overlap:
        notes.append(
            f"Neighbouring tiles share {overlap:.0%} of their side, which makes them "
            "alike and the place harder to find; compare only at the same stride."
        )
    facts = encoder_facts(encoder) | {
        "codec": codec_of(paths),
        "mpp": side * own / spec.tile_px if own is not None else None,
        "mpp_source": source or "not known",
        "layout": "registered slides",
        "tile": side,
        "stride": step,
        "places": f"lattice over {paths[0].name}",
    }
    return Registered(
        conditions, features.__getitem__, len(places), facts, tuple(notes)
    )


def registered_tiles(
    folders: Sequence[Path],
    encoder: Encoder,
    *,
    mpp: float | None = None,
    table: Path | None = None,
    progress: Progress | None = None,
) -> Registered:
    """Encode folders of tiles, one a slide, in which the same name is the same place.

    Raises
    ------
    PathfmError
        If the folders hold other names.
    """
    conditions = name_conditions([folder.name for folder in folders], table)
    listed = [pictures_in(folder) for folder in folders]
    names = [path.name for path in listed[0]]
    for folder, paths in zip(folders, listed, strict=True):
        if [path.name for path in paths] != names:
            raise PathfmError(
                f"{folder} and {folders[0]} hold tiles of other names: the same place "
                "has the same file name on every slide"
            )
    features: list[NDArray[np.float32]] = []
    for paths in listed:
        done = len(features) * len(names)
        features.append(
            encode_tiles(
                (fit(read_tile(path), encoder.spec.tile_px) for path in paths),
                encoder,
                progress=onward(progress, done, len(listed) * len(names)),
            )
        )
    facts = encoder_facts(encoder) | {
        "codec": codec_of(path for paths in listed for path in paths[:1]),
        "mpp": mpp,
        "mpp_source": "as told" if mpp is not None else "not known",
        "layout": "folders of tiles",
        "places": "all",
    }
    return Registered(conditions, features.__getitem__, len(names), facts)


def lattice(slide: Slide, side: float, step: float) -> NDArray[np.float64]:
    """Lay a lattice of whole tiles over a slide; of a real slide, over its tissue.

    Returns
    -------
    ndarray
        float64 ``(n, 2)``: level-0 ``(x, y)`` of the corners, row by row.

    Raises
    ------
    PathfmError
        If no tile fits.
    """
    from napari_pathfm.slides import MIN_TISSUE, tissue_mask

    if not (side > 0 and step > 0):
        raise PathfmError(f"tiles of {side:g} px every {step:g} px make no lattice")
    width, height = slide.dimensions
    x = np.arange(0, width - side + 1e-6, step)
    y = np.arange(0, height - side + 1e-6, step)
    places = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    # A picture of a field is tissue that somebody has chosen.
    if len(places) and slide.backend != "picture":
        mask = tissue_mask(slide)
        places = places[mask.covered_many(places, side) >= MIN_TISSUE]
    if not len(places):
        raise PathfmError(
            f"no tile of {side:g} px fits on the tissue of {slide.path.name} "
            f"({width} x {height} px): give a smaller --tile"
        )
    return places


def _side(
    tile: float | None, mpp: float | None, micrometres: float, name: str
) -> float:
    if tile is not None:
        return tile
    if mpp is None:
        raise MissingMppError(
            f"{name} does not state its pixel size: give --mpp, or the side of a tile "
            "in its pixels with --tile"
        )
    return micrometres / mpp


def _read(
    slide: Slide, reference: Slide, places: NDArray[np.float64], side: float, px: int
) -> Iterator[NDArray[np.uint8]]:
    ratio = np.divide(slide.dimensions, reference.dimensions)
    if abs(ratio[0] / ratio[1] - 1) > _ASPECT:
        raise PathfmError(
            f"{slide.path.name} ({slide.dimensions[0]} x {slide.dimensions[1]} px) and "
            f"{reference.path.name} are of other shapes, so they are not registered"
        )
    scale = float(side * ratio.mean() / px)
    for x, y in places * ratio:
        yield slide.read(float(x), float(y), px, px, mpp=scale)
