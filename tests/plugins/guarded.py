"""Look at files in processes of their own, which may die, hang or ask for too much.

Run as a script it is the process that forks one child a file; see `Guard`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 60  # what hangs is ended
MEMORY = 2**30


@dataclass(frozen=True)
class Look:
    """What became of one file.

    Attributes
    ----------
    end : str
        ``"refused"``, ``"read"``, or how the process came to an end.
    message : str
        What the refusal said.
    broken : list of [int, int, str]
        Level-0 places of the model tiles that could not be read, and why.
    digests : dict of str to str
        Of the model tiles that could, by place.
    seconds : float
        Processor time that it took.
    peak : int
        Bytes that were taken beyond what the process had before.
    """

    end: str
    message: str
    broken: list[tuple[int, int, str]]
    digests: dict[str, str]
    seconds: float
    peak: int


class Guard:
    """A process that looks at one file after another, by children of its own.

    Parameters
    ----------
    before : str
        Code to run in each child first, to try the guard itself.
    options : str or None
        Of `open_slide`.
    """

    def __init__(self, before: str = "", **options: str | None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, before, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # codecs grumble there
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.communicate()

    def look(self, path: Path) -> Look:
        """Open a file and read everything in it."""
        asking, answers = self._process.stdin, self._process.stdout
        assert asking is not None
        assert answers is not None
        asking.write(f"{path}\n")
        asking.flush()
        return Look(**json.loads(answers.readline()))


def _child(path: str, options: dict[str, str | None]) -> dict[str, object]:
    """Open one file and read all of it; what is no `SlideError` goes up."""
    import hashlib
    import time

    from napari_pathfm import open_slide, tile_grid
    from napari_pathfm.errors import SlideError

    broken: list[tuple[int, int, str]] = []
    digests: dict[str, str] = {}
    result = {"end": "refused", "message": "", "broken": broken, "digests": digests}
    before = _resident("VmRSS")
    start = time.process_time()
    try:
        slide = open_slide(path, mpp=0.5, **options)  # type: ignore[arg-type]
    except SlideError as error:
        result["message"] = str(error)
    else:
        result["end"] = "read"
        result["message"] = slide.reading
        parts: list[Callable[[], object]] = [slide.thumbnail, slide.pyramid]
        parts += [partial(slide.read_associated, name) for name in slide.associated]
        parts += [
            partial(slide.read, 0, 0, 200, 200, level=level)
            for level in range(len(slide.levels))
        ]
        for part in parts:
            try:
                part()
            except SlideError as error:
                broken.append((-1, -1, str(error)))
        grid = tile_grid(slide, px=128, mpp=0.5, tissue=False)
        # A forged size may mean millions of tiles: the first and the last of them.
        count = len(grid.coords)
        rows = list(range(min(count, 150)))
        rows += [row for row in range(count - 5, count) if row >= 150]

        def note(index: int, x: int, y: int, error: SlideError) -> None:
            broken.append((x, y, str(error)))

        for indices, pixels in slide.tiles(grid, indices=rows, on_error=note):
            for index, tile in zip(indices.tolist(), pixels, strict=True):
                x, y = grid.coords[index].tolist()
                digests[f"{x},{y}"] = hashlib.sha1(tile.tobytes()).hexdigest()
        slide.close()
    result["seconds"] = time.process_time() - start
    result["peak"] = _resident("VmHWM") - before
    return result


def _resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(field)


def _guard(path: str, before: str, options: dict[str, str | None]) -> dict[str, object]:
    """Fork, and tell from outside how the child came to an end."""
    import resource
    import signal
    import traceback

    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        signal.alarm(SECONDS)
        now = _resident("VmSize")
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
        # Start counting the peak anew.
        Path("/proc/self/clear_refs").write_text("5")
        try:
            exec(before, {})
            answer = _child(path, options)
        except BaseException:  # noqa: BLE001 -- told to the parent, whatever it is
            answer = {"end": "raised", "message": traceback.format_exc(limit=-8)}
        with os.fdopen(writing, "w") as out:
            json.dump(answer, out)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answers:
        text = answers.read()
    _, status = os.waitpid(pid, 0)
    nothing = {"message": "", "broken": [], "digests": {}, "seconds": 0.0, "peak": 0}
    if status:
        code = os.waitstatus_to_exitcode(status)
        name = signal.Signals(-code).name if code < 0 else f"exit {code}"
        return nothing | {"end": "hung" if name == "SIGALRM" else name}
    return nothing | json.loads(text)


def _main() -> None:
    # Everything that a child needs is imported once, before there are any threads.
    import dask.array
    import imagecodecs
    import simplejpeg
    import tifffile

    import napari_pathfm.slides._direct
    import napari_pathfm.slides._pyramid
    import napari_pathfm.slides._stream
    import napari_pathfm.slides._tifffile

    assert all((dask.array, imagecodecs, simplejpeg, tifffile, napari_pathfm.slides))
    before, options = sys.argv[1], json.loads(sys.argv[2])
    for line in sys.stdin:
        print(json.dumps(_guard(line.rstrip("\n"), before, options)), flush=True)


if __name__ == "__main__":
    _main()
