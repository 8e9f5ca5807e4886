"""Kill real runs at random moments; every store must tell the truth and end identical.

``python benchmarks/kills.py [KILLS] [--seed S]`` (200 by default). A process embeds a
drawn slide and is killed by SIGKILL at a random moment of the run, from making the
store to the last batch. Then every row that is marked done must hold exactly what an
uninterrupted run has there, and the run begins again on the same store, until one comes
through; its store must equal the uninterrupted one, bit by bit. Prints a line and exits
with 1 if one does not.

Reading, threads, store and lock are the real ones; the encoder is a matrix, so that a
run is mostly writing and most kills fall into that.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from napari_pathfm import Features, embed_slide, open_slide, open_store
from napari_pathfm.embeddings import _run
from napari_pathfm.encoders import encoder_spec
from napari_pathfm.slides import draw_slide

BATCH = 2  # many writes in a short run


class Matrix:
    """What `embed_slide` asks of an encoder: each tile, coarsely, times a matrix."""

    def __init__(self) -> None:
        self.spec = encoder_spec("bundled")
        self.revision, self.pooling = "benchmark:matrix", "cls"
        self.feature_dim = self.spec.dim
        random = np.random.default_rng(0)
        self._matrix = random.normal(size=(16 * 16 * 3, self.feature_dim)) / 255

    def encode(self, tiles: np.ndarray, *, patches: bool = True) -> Features:
        """Encode uint8 ``(N, 224, 224, 3)``."""
        coarse = tiles[:, ::14, ::14].reshape(len(tiles), -1).astype(np.float64)
        # Row by row: a product of matrices may sum in another order for other heights.
        rows = [(tile @ self._matrix).astype(np.float32) for tile in coarse]
        return Features(np.stack(rows), np.empty(0, np.float32), np.stack(rows))


def embed(slide: Path, out: Path) -> None:
    """Fill a store, or go on filling it."""
    with open_slide(slide) as opened:
        embed_slide(opened, Matrix(), out)


def start(slide: Path, out: Path) -> tuple[int, int]:
    """Fork a process that embeds; give its id and a pipe that tells when it begins."""
    ready, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(tell)
        os.read(ready, 1)
        return child, ready
    code = 1
    try:
        os.close(ready)
        os.write(tell, b"!")
        embed(slide, out)
        code = 0
    finally:
        os._exit(code)


def attempt(slide: Path, out: Path, after: float | None) -> bool:
    """Run, and kill after some seconds; whether it came through."""
    child, pipe = start(slide, out)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(pipe)
    if os.WIFEXITED(status):
        if os.WEXITSTATUS(status):
            raise SystemExit(f"a run on {out} failed")
        return True
    return False


def check(out: Path, whole: np.ndarray) -> str | None:
    """Say what is wrong with a store, if anything is."""
    if not out.exists():  # killed before it was made
        return None
    store = open_store(out)
    done = store.done
    if store.failed:
        return f"{len(store.failed)} tiles are listed as failed"
    if not np.array_equal(store.features[done].view("u2"), whole[done].view("u2")):
        return "rows are marked done that hold something else"
    return None


def main() -> None:
    """Kill, check, count."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kills", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    _run.BATCH = BATCH
    kills = stores = unborn = partial = 0
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        slide = Path(folder) / "drawn.tif"
        draw_slide(slide, width=1536, height=1024)
        # In this process, so that no child has to import anything.
        embed(slide, Path(folder) / "whole.zarr")
        began = time.monotonic()
        attempt(slide, Path(folder) / "timed.zarr", None)
        seconds = time.monotonic() - began
        whole = open_store(Path(folder) / "whole.zarr")
        features = whole.features
        while kills < options.kills:
            out = Path(folder) / f"{stores}.zarr"
            through = False
            while not through:
                last = kills >= options.kills
                after = None if last else chance.uniform(0, seconds)
                through = attempt(slide, out, after)
                if not through:
                    kills += 1
                    unborn += not out.exists()
                    partial += out.exists() and not open_store(out).complete
                if fault := check(out, features):
                    wrong.append(f"{out.name} after {kills} kills: {fault}")
            if not open_store(out).done.all():
                wrong.append(f"{out.name} came through and is not complete")
            stores += 1
            left = [p.name for p in Path(folder).glob(f".{out.name}*")]
            if left:
                wrong.append(f"{out.name} left {left}")
    print(
        f"{kills} kills ({unborn} before the store was there, {partial} in its midst), "
        f"{stores} stores of {len(features)} tiles, each compared with an "
        f"uninterrupted run: {len(wrong)} differ"
    )
    if wrong:
        print("\n".join(wrong))
        sys.exit(1)


if __name__ == "__main__":
    main()
