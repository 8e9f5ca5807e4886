"""How long napari's window is deaf while a slide is added, panned and zoomed.

``python scripts/setup.py --display python benchmarks/panning.py SLIDE [--peer]`` opens
the real window, adds the slide, makes 40 pans of a third of the view at full
resolution and 10 zooms, each let to settle, and prints the longest time between two
ticks of a timer on the GUI thread. The rows take turns on a window each:

- the plugin's reader with what it reads ahead, and without
- with napari's asynchronous slicing, which a person may switch on
- a plain lazy array of the same size that costs nothing to read: napari's own share
- napari-wsi, where it is installed (``--peer``; it needs an environment of its own)

``--memory`` makes 5,000 random views without a window instead, and prints by how much
memory has grown.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np

PANS, ZOOMS = 40, 10
SETTLE_S = 0.25


def pump(seconds: float) -> None:
    from qtpy.QtWidgets import QApplication

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.001)


def watched(heart, move) -> tuple[float, float]:
    """Longest gap while something moves and settles: by the clock, and own work."""
    with heart as beat:
        move()
        pump(SETTLE_S)
    return beat.worst, beat.worst_work


def run(name: str, add, mpp: float | None) -> None:
    import napari
    from heartbeat import Heartbeat

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    pump(1.0)
    shut = []
    adding = watched(Heartbeat(), lambda: shut.append(add(viewer)))
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

        pans.append(watched(Heartbeat(), pan))
    for i in range(ZOOMS):
        factor = 0.5 if i % 4 < 2 else 2.0

        def zoom(factor=factor) -> None:
            camera.zoom *= factor

        zooms.append(watched(Heartbeat(), zoom))
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
    parser.add_argument("slide", type=Path)
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    if options.memory:
        memory(options.slide)
        return
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "viewer"))
    print("| longest stall, ms | adding (own work) | pans: median / longest | zooms |")
    print("|---|---|---|---|")
    if options.peer:
        run("napari-wsi", peer(options.slide), options.mpp)
        return
    from napari.settings import get_settings

    run("first window, imports", ours(options.slide, ahead=False), options.mpp)
    run("without reading ahead", ours(options.slide, ahead=False), options.mpp)
    run("napari-pathfm", ours(options.slide, ahead=True), options.mpp)
    run("an array that costs nothing", plain(options.slide), options.mpp)
    get_settings().experimental.async_ = True
    run("napari-pathfm, asynchronous", ours(options.slide, ahead=True), options.mpp)
    get_settings().experimental.async_ = False


if __name__ == "__main__":
    main()
