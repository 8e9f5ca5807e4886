"""Pictures of tiles from files, at the size that an encoder sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder

#: Suffixes of pictures that are tiles.
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

_BATCH = 64


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures of a folder, by name; hidden ones are left out."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURES and not path.name.startswith(".")
    )


def read_tile(path: Path) -> NDArray[np.uint8]:
    """Read a picture as uint8 ``(h, w, 3)``; transparency becomes white.

    Raises
    ------
    PathfmError
        If it is damaged or no picture.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            rgba = image.convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise PathfmError(f"{path} is no picture, or it is damaged") from error
    white = Image.new("RGBA", rgba.size, "white")
    return np.asarray(Image.alpha_composite(white, rgba).convert("RGB"))


def fit(tile: NDArray[np.uint8], px: int) -> NDArray[np.uint8]:
    """Resize a tile to ``(px, px, 3)``, bicubic and antialiased, unless it is so."""
    if tile.shape[:2] == (px, px):
        return tile
    from PIL import Image

    return np.asarray(Image.fromarray(tile).resize((px, px), Image.Resampling.BICUBIC))


def field_crops(
    picture: NDArray[np.uint8], px: int, grid: int | None = None
) -> list[NDArray[np.uint8]]:
    """Turn a picture into what an encoder sees.

    Parameters
    ----------
    picture : ndarray
        uint8 ``(h, w, 3)``.
    px : int
        Side of a tile.
    grid : int, optional
        Cut this many tiles along each side, spread evenly, at the picture's own
        resolution; else the whole picture is resized to one.

    Raises
    ------
    PathfmError
        If a tile is larger than the picture.
    """
    if grid is None:
        return [fit(picture, px)]
    height, width = picture.shape[:2]
    if min(height, width) < px:
        raise PathfmError(
            f"a picture of {width} x {height} px holds no tile of {px} px: leave out "
            "--grid, so that it is resized"
        )
    tops, lefts = (
        np.linspace(0, side - px, grid).astype(int) for side in (height, width)
    )
    return [picture[y : y + px, x : x + px] for y in tops for x in lefts]


def encode_tiles(
    tiles: Iterable[NDArray[np.uint8]],
    encoder: Encoder,
    *,
    total: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Encode tiles one after the other, in batches.

    Parameters
    ----------
    tiles : iterable of ndarray
        uint8 ``(px, px, 3)`` each.
    encoder : Encoder
        Its pooling decides what stands for a tile.
    total : int, optional
        How many there will be, for `progress`.
    progress : callable, optional
        Hears ``(done, total)``.

    Returns
    -------
    ndarray
        float32 ``(N, P)``.

    Raises
    ------
    PathfmError
        If there are none.
    """
    parts: list[NDArray[np.float32]] = []
    batch: list[NDArray[np.uint8]] = []
    done = 0
    for tile in tiles:
        batch.append(tile)
        if len(batch) == _BATCH:
            parts.append(encoder.encode(np.stack(batch)).pooled)
            done += len(batch)
            batch = []
            if progress is not None:
                progress(done, total or done)
    if batch:
        parts.append(encoder.encode(np.stack(batch)).pooled)
        if progress is not None:
            progress(done + len(batch), total or done + len(batch))
    if not parts:
        raise PathfmError("there are no tiles to encode")
    return np.concatenate(parts)


def encoder_facts(encoder: Encoder) -> dict[str, object]:
    """What a report says of an encoder."""
    return {
        "encoder": encoder.spec.name,
        "revision": encoder.revision,
        "pooling": encoder.pooling,
        "tile_px": encoder.spec.tile_px,
    }


def onward(
    progress: Callable[[int, int], None] | None, before: int, total: int
) -> Callable[[int, int], None] | None:
    """Pass on the progress of one part among several: ``before`` are done already."""
    if progress is None:
        return None
    return lambda done, _total: progress(before + done, total)
