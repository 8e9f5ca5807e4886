"""Real and generated tiles made comparable: as many, as large, compressed alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.evaluation._codec import jpeg, tile_codecs
from napari_pathfm.evaluation._tiles import PICTURES, read_tile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

#: Fewer tiles say nothing, and the intervals leave out tenths of them.
FEWEST = 20


@dataclass(frozen=True)
class Sides:
    """Tiles drawn from both sides, ``n`` each, all of one size and codec.

    Attributes
    ----------
    real, floor : list of ndarray
        Two disjoint draws of real tiles, uint8 ``(px, px, 3)``.
    generated : list of ndarray
        Generated tiles.
    train : list of ndarray
        Tiles that the generator was trained on; empty where not given.
    known : callable
        Gives all tiles that copies are looked for among, one by one: every training
        tile, or the real side where there are none.
    facts : dict
        For the report.
    """

    real: list[NDArray[np.uint8]]
    floor: list[NDArray[np.uint8]]
    generated: list[NDArray[np.uint8]]
    train: list[NDArray[np.uint8]]
    known: Callable[[], Iterable[NDArray[np.uint8]]]
    facts: dict[str, Any]


def equal_sides(
    real: Path,
    generated: Path,
    *,
    train: Path | None = None,
    n: int | None = None,
    crop: int | None = None,
    recompress: int | None = None,
    seed: int = 0,
) -> Sides:
    """Draw tiles from folders, and refuse what would not be a fair comparison.

    Parameters
    ----------
    real, generated : Path
        Folders of pictures, in subfolders too. Twice as many real ones are needed: half
        of them make the floor.
    train : Path, optional
        Real tiles that the generator has seen.
    n : int, optional
        Tiles a draw; by default as many as there are.
    crop : int, optional
        Cut this many pixels from the middle of every tile. Tiles are never resized
        here, and encoders' own resize is the same for all of one size.
    recompress : int, optional
        Send every tile, real or not, through JPEG of this quality.
    seed : int
        Of the draws.

    Raises
    ------
    PathfmError
        If there are too few tiles, or they differ in size or in codec.
    """
    folders = {"real": real, "generated": generated}
    if train is not None:
        folders["train"] = train
    paths = {name: _pictures_below(folder) for name, folder in folders.items()}
    most = min(len(paths["real"]) // 2, len(paths["generated"]))
    if train is not None:
        most = min(most, len(paths["train"]))
    n = n or most
    if not FEWEST <= n <= most:
        counts = ", ".join(f"{len(files)} {name}" for name, files in paths.items())
        raise PathfmError(
            f"{n} tiles a side cannot be had from {counts} (twice as many real ones "
            f"are needed, and {FEWEST} at least)"
        )
    rng = np.random.default_rng(seed)
    drawn = {
        name: [files[i] for i in rng.permutation(len(files))]
        for name, files in paths.items()
    }
    chosen = {
        "real": drawn["real"][:n],
        "floor": drawn["real"][n : 2 * n],
        "generated": drawn["generated"][:n],
        "train": drawn.get("train", [])[:n],
    }
    codec = _one_codec(chosen, recompress)
    tiles = {
        name: [_cut(path, crop, recompress) for path in files]
        for name, files in chosen.items()
    }
    px = _one_size(tiles)
    facts = {
        "n": n,
        "codec": codec,
        "tile": f"{px[1]} x {px[0]} px"
        + (", cut from the middle" if crop else ", as in the files"),
        "resize": "the encoder's own, bicubic, the same for every tile",
        "real": f"{n} and {n} (floor) of {len(paths['real'])} in {real.name}",
        "generated": f"{n} of {len(paths['generated'])} in {generated.name}",
        "train": None if train is None else f"{n} of {len(paths['train'])}",
        "draw": f"seed {seed}",
    }

    def known() -> Iterator[NDArray[np.uint8]]:
        for path in paths["train"]:
            yield _cut(path, crop, recompress)

    whole = known if train is not None else lambda: tiles["real"]
    return Sides(**tiles, known=whole, facts=facts)


def _pictures_below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise PathfmError(f"{folder} is no folder of tiles")
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURES
        and not path.name.startswith(".")
        and not path.stem.endswith("_sheet")  # of `generate`, beside its images
    )


def _one_codec(chosen: dict[str, list[Path]], recompress: int | None) -> str:
    sides = {name: tile_codecs(files) for name, files in chosen.items() if files}
    first = sides["generated"]
    words = "; ".join(f"{name}: {', '.join(sorted(c))}" for name, c in sides.items())
    if recompress is not None:
        return f"JPEG quality {recompress}, 4:2:0, on all sides; before that {words}"
    if any(codecs != first for codecs in sides.values()):
        raise PathfmError(
            f"the sides are compressed differently ({words}), which moves every "
            "distance: export both alike, or give --recompress 95"
        )
    return ", ".join(sorted(first))


def _one_size(tiles: dict[str, list[NDArray[np.uint8]]]) -> tuple[int, ...]:
    sizes = {name: {t.shape[:2] for t in side} for name, side in tiles.items() if side}
    every = set.union(*sizes.values())
    if len(every) > 1:
        words = "; ".join(
            f"{name}: {', '.join(f'{w} x {h}' for h, w in sorted(own)[:3])}"
            for name, own in sizes.items()
        )
        raise PathfmError(
            f"tiles are of several sizes ({words}): give --crop to cut the same from "
            "the middle of each"
        )
    return tuple(every.pop())


def _cut(path: Path, crop: int | None, recompress: int | None) -> NDArray[np.uint8]:
    tile = read_tile(path)
    if crop is not None:
        height, width = tile.shape[:2]
        if min(height, width) < crop:
            raise PathfmError(
                f"{path} is smaller than {crop} px: give a smaller --crop"
            )
        top, left = (height - crop) // 2, (width - crop) // 2
        tile = np.ascontiguousarray(tile[top : top + crop, left : left + crop])
    return tile if recompress is None else jpeg(tile, recompress)


def recompressed(
    tiles: Sequence[NDArray[np.uint8]], quality: int
) -> list[NDArray[np.uint8]]:
    """Send tiles through JPEG, for the arm that shows what a codec does."""
    return [jpeg(tile, quality) for tile in tiles]
