"""Some two hundred broken slides: refused in one line, or shown as far as they go."""

from __future__ import annotations

import json
import multiprocessing
import resource
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from broken_tiffs import broken

from napari_pathfm import slides
from napari_pathfm.errors import SlideError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# A file may take this long and this much more memory. It is a bound on hanging and on
# decoding nonsense, not a measurement: the longest is printed.
SECONDS, BYTES = 20, 2**30


def look_at(path: Path, wanted: NDArray[np.uint8], answer: Any) -> None:
    """Open a file and read all that can be read; in a process of its own."""
    with open("/proc/self/statm") as memory:
        used = int(memory.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
    began = time.monotonic()
    told: dict[str, Any] = {"errors": []}
    try:
        with slides.open_slide(path, mpp=0.5) as slide:
            told["size"] = slide.dimensions
            told["levels"] = len(slide.levels)
            grid = slides.tile_grid(slide, px=256, tissue=False)
            if len(grid) <= 1000:
                tiles = slide.tiles(grid, on_error=lambda i, x, y, e: note(told, e))
                for indices, pixels in tiles:
                    for index, tile in zip(indices, pixels, strict=True):
                        compare(told, grid.coords[index], tile, wanted)
            try:
                slide.thumbnail(64)
                slide.pyramid()
            except SlideError as error:
                note(told, error)
    except SlideError as error:
        note(told, error)
    except BaseException as error:  # noqa: BLE001 (it is what the test looks for)
        told["crash"] = repr(error)
    told["seconds"] = time.monotonic() - began
    answer.send(json.dumps(told))


def note(told: dict[str, Any], error: SlideError) -> None:
    told["errors"].append(str(error))


def compare(
    told: dict[str, Any],
    corner: NDArray[np.int32],
    tile: NDArray[np.uint8],
    wanted: NDArray[np.uint8],
) -> None:
    """Count tiles that are the slide's own, white (not stored), or neither."""
    x, y = corner.tolist()
    own = wanted[y : y + 256, x : x + 256]
    part = tile[: own.shape[0], : own.shape[1]]
    if own.size and np.abs(part.astype(int) - own).mean() < 8:
        kind = "own"
    else:
        kind = "white" if (tile == 255).all() else "other"
    told[kind] = told.get(kind, 0) + 1


@pytest.fixture(scope="module")
def pixels(drawn_path: Path) -> NDArray[np.uint8]:
    with slides.open_slide(drawn_path) as slide:
        return slide.read(300, 200, 1000, 700)


@pytest.fixture(scope="module")
def told(
    pixels: NDArray[np.uint8],
    drawn_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, dict[str, Any]]:
    """What came of each file."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork here: each file is opened in a process of its own")
    # What the children need is imported once, and not by each of two hundred.
    import dask.array  # noqa: F401

    with slides.open_slide(drawn_path) as slide:
        slide.pyramid()
    files = broken(tmp_path_factory.mktemp("broken"), pixels)
    assert len(files) >= 60
    context = multiprocessing.get_context("fork")
    found = {}
    for name, path in files.items():
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=look_at, args=(path, pixels, theirs))
        child.start()
        theirs.close()
        if ours.poll(SECONDS):
            try:
                found[name] = json.loads(ours.recv())
            except EOFError:
                child.join()
                found[name] = {"crash": f"exit code {child.exitcode}", "errors": []}
        else:
            found[name] = {"crash": "it hangs", "errors": []}
            child.kill()
        child.join()
        found[name]["file"] = path.name
    return found


def test_none_crashes_or_hangs(told: dict[str, dict[str, Any]], capsys: Any) -> None:
    assert {n: t["crash"] for n, t in told.items() if "crash" in t} == {}
    longest = max(told, key=lambda name: told[name]["seconds"])
    refused = sum("size" not in t for t in told.values())
    with capsys.disabled():
        print(
            f"\n{len(told)} broken slides: {refused} refused, {len(told) - refused} "
            f"opened; the longest, {longest}, took {told[longest]['seconds']:.2f} s"
        )


def test_each_complaint_is_one_line_that_names_the_file(
    told: dict[str, dict[str, Any]],
) -> None:
    for name, facts in told.items():
        for error in facts["errors"]:
            assert facts["file"] in error, name
            assert "\n" not in error, name
            assert len(error) < 400, name


def test_what_does_not_open_says_why(told: dict[str, dict[str, Any]]) -> None:
    for name, facts in told.items():
        assert "size" in facts or len(facts["errors"]) == 1, name


def test_no_tile_shows_what_is_not_there(told: dict[str, dict[str, Any]]) -> None:
    """A tile is the slide's own, white, or reported; else the geometry was forged."""
    forged = ("width", "height", "tile", "photometric", "samples", "planes", "bits")
    wrong = {
        name: facts
        for name, facts in told.items()
        if facts.get("other") and not any(word in name for word in forged)
    }
    assert wrong == {}


def test_truncation_is_seen_when_opening(told: dict[str, dict[str, Any]]) -> None:
    for name, facts in told.items():
        if "cut at" in name:
            assert "size" not in facts, name
