"""Kills during autosave: how many sessions are lost.

``python benchmarks/sessions.py --kills 100``: a process with a slide, prompts, drawn
polygons and settings changes something and keeps its session, over and over without a
pause; it is killed (SIGKILL) after a random time. What it leaves must be found by the
next program, be whole, hold no less than the last session that had been kept before the
kill, and name no file that is not there. Ends within a minute; needs fork.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
from napari.components import ViewerModel

from napari_pathfm.slides import draw_slide, open_slide
from napari_pathfm.viewer._reader import slide_layer_data
from napari_pathfm.viewer.session import Autosave, Session, read_session


def begin(slide: Path, cache: Path) -> Session:
    """A slide and twenty drawn polygons."""
    session = Session(ViewerModel(), cache=cache)
    data, keywords, _ = slide_layer_data(open_slide(slide))
    session.viewer.add_image(data, **keywords)
    layer = session.current.layer
    rng, angle = np.random.default_rng(0), np.arange(8) * (np.pi / 4)
    octagon = 20 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    session.viewer.add_shapes(
        [octagon + 50 + 400 * rng.random(2) for _ in range(20)],
        shape_type="polygon",
        scale=layer.scale,
        units=layer.units,
    )
    return session


def work(session: Session, folder: Path, report: int) -> None:
    """Keep a session that changes, until killed; tell of each that stands."""
    session.cache = folder
    shapes = next(x for x in session.viewer.layers if x._type_string == "shapes")
    autosave = Autosave(session)
    count = 0
    while True:
        count += 1
        session.synthesis.seed = count
        if count % 5 == 0:
            # Something large, that lies beside the session.
            shapes.data = [shape + 1 for shape in shapes.data]
        autosave.save()
        os.write(report, count.to_bytes(4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    options = parser.parse_args()
    dice = random.Random(0)
    lost, kept, start = [], 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        slide = draw_slide(Path(name) / "slide.tif", width=512, height=512)
        # Begun once; each child goes on from there.
        session = begin(slide, Path(name))
        for number in range(options.kills):
            folder = Path(name) / f"cache-{number}"
            receive, send = os.pipe()
            child = os.fork()
            if not child:
                os.close(receive)
                work(session, folder, send)
            os.close(send)
            # The first session stands; then anything may happen at any moment.
            told = os.read(receive, 4)
            time.sleep(dice.random() * 0.1)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            while more := os.read(receive, 4096):
                told += more
            os.close(receive)
            last = int.from_bytes(told[-4:])
            kept += last
            if why := missing(folder, last):
                lost.append(why)
    seconds = time.perf_counter() - start
    print(
        f"{options.kills} kills in {seconds:.0f} s, {kept:,} sessions kept before them:"
        f" lost {len(lost)} {sorted(set(lost)) or ''}"
    )


def missing(folder: Path, last: int) -> str:
    """Say what is wrong with what a killed process left; nothing where it is whole."""
    found = Autosave(Session(ViewerModel(), cache=folder)).recovery()
    if found is None:
        return "no session"
    sections = read_session(found.path)
    if sections["settings"]["synthesis"]["seed"] < last:
        return "an older session"
    session = Session(ViewerModel(), cache=folder)
    told = session.restore(found.path)
    if told:
        return told[0]
    shapes = [x for x in session.viewer.layers if x._type_string == "shapes"]
    return "" if len(shapes) == 1 and len(shapes[0].data) == 20 else "objects"


if __name__ == "__main__":
    main()
