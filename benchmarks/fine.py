"""How long a view waits for its patches: from the camera's rest to the first, to all.

    python benchmarks/fine.py shared/data/slides/CMU-1-Small-Region.svs --at 1200,1900

opens the real window with the bundled encoder, which is loaded before anything is
measured. Each round begins with an empty memory but for the prompt's own tile, jumps
from glass to the place, and stops the clock when the layer has its first values and
when no tile in view is missing. The largest gap between two ticks of a 5 ms timer says
how long the window was deaf meanwhile, and how much of that was its own thread's work.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", type=Path)
    parser.add_argument("--at", default="1200,1900", help="X,Y of tissue, level-0")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    place = tuple(float(v) for v in options.at.split(","))
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NAPARI_PATHFM_CACHE"] = cache
        measure(options.slide, place, options.rounds)


def measure(path: Path, place: tuple[float, float], rounds: int) -> None:
    import napari
    from qtpy.QtCore import Qt, QTimer
    from qtpy.QtWidgets import QApplication

    from napari_pathfm.viewer._reader import get_reader
    from napari_pathfm.viewer.panel import ModelsPanel

    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    panel = ModelsPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Pathology models")
    ((data, keywords, _),) = get_reader(str(path))(str(path))
    viewer.add_image(data, **keywords)
    session, fine = panel.session, panel.session.fine
    ticks: list[tuple[float, float]] = []
    timer = QTimer(timerType=Qt.TimerType.PreciseTimer, interval=5)
    timer.timeout.connect(
        lambda: ticks.append((time.perf_counter(), time.thread_time()))
    )

    def until(met, limit=300.0) -> None:
        end = time.monotonic() + limit
        while not met():
            if time.monotonic() > end:
                raise SystemExit("nothing came of it in five minutes")
            QApplication.processEvents()
            time.sleep(0.002)

    def look(x: float, y: float, zoom: float) -> None:
        viewer.scene.camera.zoom = zoom
        viewer.scene.camera.center = (0, *session.current.world(x, y))

    def shown() -> bool:
        return fine.layer is not None and bool(np.isfinite(fine.layer.data).any())

    similarity = session.similarity
    session.prompt(session.current.world(*place))
    until(lambda: similarity.job is not None and not similarity.job.running)
    for zoom in (2.0, 1.0):
        first, all_, gaps, tiles = [], [], [], 0
        for _ in range(rounds):
            fine.on = False
            until(lambda: fine.job is None or not fine.job.running)
            look(20, 20, 20.0)
            fine.on = True
            until(lambda: not fine.job.running)
            ticks.clear()
            timer.start()
            look(*place, zoom)
            start = time.perf_counter()
            until(shown)
            first.append(time.perf_counter() - start)
            until(lambda: not fine.job.running)
            all_.append(time.perf_counter() - start)
            timer.stop()
            gaps.append(np.diff(ticks, axis=0).max(axis=0) * 1e3)
            tiles = fine.job.total
        gap, work = np.median(gaps, axis=0)
        print(
            f"{tiles} tiles in view: first patches after "
            f"{statistics.median(first):.2f} s ({min(first):.2f} to {max(first):.2f}), "
            f"all after {statistics.median(all_):.2f} s ({min(all_):.2f} to "
            f"{max(all_):.2f}); longest gap {gap:.0f} ms, longest work {work:.0f} ms"
        )
    panel.shut()
    until(lambda: not panel.runner.busy)
    viewer.close()


if __name__ == "__main__":
    main()
