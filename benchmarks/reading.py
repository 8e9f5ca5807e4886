"""Reading slides, against OpenSlide, cuCIM and the codec alone, as ratios in one run.

``python benchmarks/reading.py [--slides DIR]`` writes its slides into a temporary
folder (or uses those it finds in DIR) and prints Markdown tables. Rounds of all
readers alternate; medians are shown. cuCIM takes part where it is installed
(``cucim-cu12`` and ``opencv-python-headless``; it needs no GPU for this).

The texture is that of a real slide of skin, twice enlarged, with noise, so that its
JPEG tiles cost what a scanner's do; without ``--texture`` it is a drawn slide's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import openslide
import tifffile
from PIL import Image

from napari_pathfm import open_slide, tile_grid
from napari_pathfm.slides import _jpeg, draw_slide

ROUNDS = 5
SIDE = 12_032  # 47 tiles of 256 px
PX, MPP = 224, 0.5
APERIO = "Aperio Image Library v11\n{0}x{0} |AppMag = 40|MPP = 0.25"


def texture(path: Path | None, folder: Path) -> np.ndarray:
    """A region of tissue and glass, uint8 ``(SIDE, SIDE, 3)``."""
    if path is None:
        path = draw_slide(folder / "drawn.tif", width=2048, height=2048)
    with open_slide(path) as slide:
        small = slide.read(0, 0, *slide.dimensions)
    large = Image.fromarray(small)
    large = large.resize((2 * large.width, 2 * large.height), Image.Resampling.BICUBIC)
    one = np.asarray(large)
    row = np.concatenate([one, one[:, ::-1]], axis=1)
    both = np.concatenate([row, row[::-1]], axis=0)
    repeats = -(-SIDE // both.shape[0]), -(-SIDE // both.shape[1]), 1
    whole = np.tile(both, repeats)[:SIDE, :SIDE]
    rng = np.random.default_rng(0)
    for first in range(0, SIDE, 1024):
        band = whole[first : first + 1024]
        noise = rng.normal(0, 4, band.shape)
        whole[first : first + 1024] = np.clip(band + noise, 0, 255)
    return whole


def write_slide(path: Path, pixels: np.ndarray) -> None:
    """Levels in steps of four, 256 px JPEG tiles, as Aperio's scanners write them."""
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for step in (1, 4, 16):
            tif.write(
                pixels[::step, ::step],
                tile=(256, 256),
                photometric="rgb",  # tifffile makes YCbCr of it
                subsampling=(2, 2),
                compression="jpeg",
                compressionargs={"level": 80},
                subfiletype=int(step > 1),
                description=APERIO.format(SIDE) if step == 1 else None,
                metadata=None,
            )


def write_huge(path: Path, pixels: np.ndarray) -> None:
    """100,000 x 80,000 px of which one tile in fifty is stored."""
    import imagecodecs

    tile = np.ascontiguousarray(pixels[4096:4352, 2048:2304])
    data = imagecodecs.jpeg8_encode(tile, level=80, subsampling="420")

    def tiles(count: int, every: int):
        for i in range(count):
            yield data if i % every == 0 else b""

    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for step, every in ((1, 50), (4, 50), (16, 5), (64, 1)):
            height, width = 80_000 // step, 100_000 // step
            count = -(-height // 256) * -(-width // 256)
            tif.write(
                tiles(count, every),
                shape=(height, width, 3),
                dtype=np.uint8,
                tile=(256, 256),
                photometric="ycbcr",
                subsampling=(2, 2),
                compression="jpeg",
                subfiletype=int(step > 1),
                metadata=None,
            )


def interleaved(work: dict) -> dict[str, float]:
    """Median seconds of each, its rounds taking turns."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, call in work.items():
            began = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(found) for name, found in times.items()}


def table(title: str, unit: str, amount: float, seconds: dict[str, float]) -> None:
    """Print rates and ratios to the first row."""
    base = next(iter(seconds.values()))
    print(f"\n| {title} | {unit}/s | over the first |\n|---|---|---|")
    for name, took in seconds.items():
        print(f"| {name} | {amount / took:,.0f} | {base / took:.2f} |")


def with_openslide(path: Path, coords: np.ndarray, side: int):
    handle = openslide.OpenSlide(path)

    def run() -> None:
        for x, y in coords.tolist():
            tile = handle.read_region((x, y), 0, (side, side)).convert("RGB")
            if side != PX:
                tile = tile.resize((PX, PX), Image.Resampling.BICUBIC)
            np.asarray(tile)

    return run


def with_cucim(path: Path, coords: np.ndarray, side: int):
    import cv2
    from cucim import CuImage

    cv2.setNumThreads(1)
    image = CuImage(str(path))

    def run() -> None:
        for x, y in coords.tolist():
            region = image.read_region((x, y), (side, side), level=0, num_workers=1)
            tile = np.asarray(region)
            if side != PX:
                cv2.resize(tile, (PX, PX), interpolation=cv2.INTER_AREA)

    return run


def has_cucim() -> bool:
    try:
        import cucim  # noqa: F401
        import cv2  # noqa: F401
    except ImportError:
        print("cuCIM or OpenCV is not installed: left out", file=sys.stderr)
        return False
    return True


def stream(slide, grid, threads: int):
    def run() -> None:
        for _ in slide.tiles(grid, batch=64, threads=threads):
            pass

    return run


def codec(path: Path, grid, factor: int):
    """Decode every slide tile that the grid touches, once, from memory."""
    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first
        across, streams = -(-page.imagewidth // 256), []
        needed = set()
        side = int(grid.tile_size)
        for x, y in grid.coords.tolist():
            for row in range(y // 256, (min(y + side, SIDE) - 1) // 256 + 1):
                for column in range(x // 256, (min(x + side, SIDE) - 1) // 256 + 1):
                    needed.add(row * across + column)
        with path.open("rb") as file:
            for index in sorted(needed):
                file.seek(page.dataoffsets[index])
                data = file.read(page.databytecounts[index])
                streams.append(
                    _jpeg.whole_stream(data, page.jpegtables or b"", ycbcr=True)
                )

    def run() -> None:
        for data in streams:
            _jpeg.decode(data, 256, 256, factor)

    return run


def tissue_tiles(path: Path, mpp: float, cucim: bool) -> None:
    with open_slide(path, mpp=mpp) as slide:
        grid = tile_grid(slide, px=PX, mpp=MPP)
        side, factor = int(grid.tile_size), slide.sampling(MPP).factor
        print(f"\n{slide.path.name} at {mpp} mpp: {len(grid)} tiles; {slide.reading}")
        work = {"OpenSlide + Pillow": with_openslide(path, grid.coords, side)}
        if cucim:
            work["cuCIM + OpenCV"] = with_cucim(path, grid.coords, side)
        work["napari-pathfm, one thread"] = stream(slide, grid, 1)
        work["napari-pathfm, two threads"] = stream(slide, grid, 2)
        if slide.reader.tiles.factors[0] != (1,):
            work["the codec alone, one thread"] = codec(path, grid, factor)
        title = f"tissue tiles, {PX} px at {MPP} mpp from {mpp}"
        table(title, "tiles", len(grid), interleaved(work))


def regions(path: Path, cucim: bool) -> None:
    rng = np.random.default_rng(1)
    places = rng.integers(0, SIDE - 512, (200, 2)).tolist()
    handle = openslide.OpenSlide(path)

    def reference() -> None:
        for x, y in places:
            np.asarray(handle.read_region((x, y), 0, (512, 512)).convert("RGB"))

    work = {"OpenSlide": reference}
    if cucim:
        from cucim import CuImage

        image = CuImage(str(path))

        def peer() -> None:
            for x, y in places:
                np.asarray(image.read_region((x, y), (512, 512), level=0))

        work["cuCIM"] = peer

    def ours() -> None:
        # A new slide each round: what an earlier round cached does not count.
        with open_slide(path) as slide:
            for x, y in places:
                slide.read(x, y, 512, 512)

    work["napari-pathfm, with opening it"] = ours
    amount = len(places) * 512 * 512 / 1e6
    table("random 512 px regions of level 0", "MPx", amount, interleaved(work))


CHILD = """
import json, resource, sys, time
from napari_pathfm import open_slide
with open_slide(sys.argv[2]) as slide:  # imports
    slide.thumbnail(512)
def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
before, began = rss(), time.perf_counter()
slide = open_slide(sys.argv[1])
opened = time.perf_counter() - began
picture = slide.thumbnail(1024)
print(json.dumps([opened, time.perf_counter() - began, (rss() - before) / 2**20]))
"""


def huge(path: Path, small: Path) -> None:
    found = []
    for _ in range(ROUNDS):
        command = [sys.executable, "-c", CHILD, str(path), str(small)]
        out = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(out.stdout))
    opened, shown, mib = (statistics.median(v) for v in zip(*found, strict=True))
    print(
        "\n| 100,000 x 80,000 px slide | |\n|---|---|\n"
        f"| opened | {opened:.3f} s |\n| opened and first thumbnail | {shown:.3f} s |\n"
        f"| memory grown by | {mib:.0f} MiB |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--slides", type=Path, help="keep the slides in this folder")
    parser.add_argument("--texture", type=Path, help="a slide to take the texture of")
    parser.add_argument("--jpeg2000", type=Path, help="a slide with JPEG 2000 tiles")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.slides or Path(temporary)
        folder.mkdir(exist_ok=True)
        slide, large = folder / "aperio.svs", folder / "huge.tif"
        if not (slide.exists() and large.exists()):
            pixels = texture(options.texture, folder)
            write_slide(slide, pixels)
            write_huge(large, pixels)
            del pixels
        cucim = has_cucim()
        print(f"{os.cpu_count()} processors")
        tissue_tiles(slide, 0.25, cucim)
        tissue_tiles(slide, 0.5, cucim)
        regions(slide, cucim)
        if options.jpeg2000:
            tissue_tiles(options.jpeg2000, 0.25, cucim=False)
            tissue_tiles(options.jpeg2000, 0.5, cucim=False)
        huge(large, slide)


if __name__ == "__main__":
    main()
