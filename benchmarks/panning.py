"""How long napari's window is deaf while a slide is added, panned and zoomed.

``python scripts/setup.py --display python benchmarks/panning.py SLIDE [--peer]`` opens
the real window, adds the slide, makes 40 pans of a third of the view at full
resolution and 10 zooms, each let to settle, and prints the longest time between two
ticks of a timer on the GUI thread. The rows take turns on a window each:

- the plugin's reader with what it reads ahead, and without
- with napari's asynchronous slicing, which a person may switch on
- a plain lazy array of the same size that costs nothing to read: napari's own share
- napari-wsi, where it is installed (``--peer``; it needs an environment of its own)

``--mirax`` instead of SLIDE writes one of 10,096 x 3,136 px in MIRAX layout, which only
OpenSlide reads; ``--settle`` says for how many seconds one looks after each move.

``--ahead`` prints, without a window and in processor time, what a chunk costs that has
been read ahead, over one that has not. ``--memory`` makes 5,000 random views without a
window instead, and prints by how much memory has grown.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PANS, ZOOMS = 40, 10
CHUNKS = 30
PHOTOS = 42, 13  # of the written MIRAX slide


def pump(seconds: float) -> None:
    from qtpy.QtWidgets import QApplication

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.001)


def watched(heart, move, settle: float) -> tuple[float, float]:
    """Longest gap while something moves and settles: by the clock, and own work."""
    with heart as beat:
        move()
        pump(settle)
    return beat.worst, beat.worst_work


def run(name: str, add, mpp: float | None, settle: float) -> None:
    import napari
    from heartbeat import Heartbeat

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    pump(1.0)
    shut = []
    adding = watched(Heartbeat(), lambda: shut.append(add(viewer)), settle)
    layer = viewer.layers[-1]
    size = np.array(layer.extent.world[1][-2:])
    camera = viewer.scene.camera
    camera.center = tuple(size * 0.5)
    camera.zoom = 1 / (mpp or 1.0)
    pump(0.5)
    step = viewer.canvas.size[1] / camera.zoom / 3
    rng = np.random.default_rng(0)
    pans, zooms = [], []
    for i in range(PANS):
        turn = step * np.array([(0, 1), (1, 0), (0, -1), (-1, 1)][i % 4])
        place = np.array(camera.center[-2:]) + turn + rng.uniform(-5, 5, 2)

        def pan(place=place) -> None:
            camera.center = tuple(place)

        pans.append(watched(Heartbeat(), pan, settle))
    for i in range(ZOOMS):
        factor = 0.5 if i % 4 < 2 else 2.0

        def zoom(factor=factor) -> None:
            camera.zoom *= factor

        zooms.append(watched(Heartbeat(), zoom, settle))
    cells = [f"{adding[0] * 1e3:.0f} ({adding[1] * 1e3:.0f})"]
    for moves in (pans, zooms):
        clock, work = (np.array(v) * 1e3 for v in zip(*moves, strict=True))
        cells.append(f"{np.median(clock):.0f} / {clock.max():.0f} ({work.max():.0f})")
    print(f"| {name} | {' | '.join(cells)} |", flush=True)
    for close in shut:
        if close is not None:
            close()
    viewer.close()
    pump(0.2)


def ours(path: Path, *, ahead: bool):
    def add(viewer):
        from napari_pathfm.viewer._reader import read_slide
        from napari_pathfm.viewer.session import Prefetch

        ((data, keywords, _),) = read_slide(path)
        prefetch = Prefetch(viewer) if ahead else None
        viewer.add_image(data, **keywords)
        return prefetch.close if prefetch else None

    return add


def plain(path: Path):
    def add(viewer):
        import dask.array as da

        from napari_pathfm.viewer._reader import read_slide

        ((data, keywords, _),) = read_slide(path)
        levels = [
            da.zeros(level.shape, chunks=(1024, 1024, 3), dtype=np.uint8)
            for level in data[:-1]
        ]
        last = np.zeros(data[-1].shape, np.uint8)
        viewer.add_image([*levels, last], **keywords)

    return add


def peer(path: Path):
    def add(viewer):
        from napari_wsi.backends.openslide import OpenSlideStore

        OpenSlideStore(str(path)).to_viewer(viewer)

    return add


def write_mirax_in(folder: Path) -> Path:
    """Write a slide that only OpenSlide reads."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "plugins"))
    from mirax_slides import write_mirax
    from written_slides import tissue

    pixels = np.tile(tissue(1600, 2600), (2, 4, 1))
    return write_mirax(
        folder / "a.mrxs", pixels, lossless=False, photos=PHOTOS, mpp=0.25
    ).path


def ahead(path: Path) -> None:
    """Read chunks of level 0 twice, by turns: afresh, and from the slide's cache."""
    from napari_pathfm import open_slide

    with open_slide(path) as slide:
        level = slide.pyramid()[0]
        rows, columns = level.numblocks[:2]
        rng = np.random.default_rng(0)
        order = rng.permutation(rows * columns)[:CHUNKS].tolist()
        costs = []
        for number in order:
            pair = []
            for _ in range(2):
                start = time.process_time()
                level.read_chunk(*divmod(number, columns))
                pair.append(time.process_time() - start)
            costs.append(pair)
        first, again = np.median(np.array(costs), axis=0) * 1e3
        down, across = level.chunks[0][0], level.chunks[1][0]
        print(
            f"{slide.vendor}, {slide.backend}: a chunk of {across} x {down} px takes "
            f"{first:.1f} ms afresh and {again:.1f} ms when it has been read ahead, "
            f"{first / again:.1f} x less ({len(order)} chunks)"
        )


def memory(path: Path) -> None:
    """Random views as napari asks for them, without a window."""
    from napari_pathfm import open_slide

    def rss() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20

    with open_slide(path) as slide:
        levels = slide.pyramid()
        rng = np.random.default_rng(0)

        def view() -> None:
            level = levels[rng.integers(0, len(levels))]
            y, x = (rng.integers(0, max(1, side - 900)) for side in level.shape[:2])
            np.asarray(level[y : y + 900, x : x + 1200])

        for _ in range(300):  # the cache fills, imports are done
            view()
        before = rss()
        for _ in range(5000):
            view()
        limit = slide.cache_bytes / 2**20
        print(
            f"5,000 views: from {before:.0f} to {rss():.0f} MiB; "
            f"the cache may hold {limit:.0f} MiB"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("slide", type=Path, nargs="?")
    parser.add_argument("--mirax", action="store_true")
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--settle", type=float, default=0.25)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--ahead", action="store_true")
    options = parser.parse_args()
    if options.mirax == (options.slide is not None):
        parser.error("give a slide, or --mirax")
    with tempfile.TemporaryDirectory() as folder:
        if options.mirax:
            options.slide, options.mpp = write_mirax_in(Path(folder)), 0.25
        if options.memory:
            memory(options.slide)
        elif options.ahead:
            ahead(options.slide)
        else:
            pan_and_zoom(options)


def pan_and_zoom(options: argparse.Namespace) -> None:
    """Print the table, a row a window."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "viewer"))
    print("| longest stall, ms | adding (own work) | pans: median / longest | zooms |")
    print("|---|---|---|---|")
    slide = options.slide

    def row(name: str, add) -> None:
        run(name, add, options.mpp, options.settle)

    if options.peer:
        row("napari-wsi", peer(slide))
        return
    from napari.settings import get_settings

    row("first window, imports", ours(slide, ahead=False))
    row("without reading ahead", ours(slide, ahead=False))
    row("napari-pathfm", ours(slide, ahead=True))
    row("an array that costs nothing", plain(slide))
    get_settings().experimental.async_ = True
    row("napari-pathfm, asynchronous", ours(slide, ahead=True))
    get_settings().experimental.async_ = False


if __name__ == "__main__":
    main()
