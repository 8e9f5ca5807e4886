"""``heatmap --fine``: patch by patch from a shell, on a drawn slide."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import zarr

from napari_pathfm.cli import main
from napari_pathfm.embeddings import open_store
from napari_pathfm.exports import read_geojson, read_heatmaps
from napari_pathfm.slides import draw_slide

SIZE = (1120, 896)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A slide, and its store without patch tokens."""
    folder = tmp_path_factory.mktemp("fine")
    slide = draw_slide(folder / "drawn.tif", width=SIZE[0], height=SIZE[1])
    assert main(["embed", str(slide), "--out", str(folder), "--json"]) == 0
    (store,) = folder.glob("*.zarr")
    return slide, store


@pytest.fixture(scope="module")
def place(made):
    """A tissue tile's corner: level-0 ``(x, y)``."""
    grid = open_store(made[1]).grid
    inside = (grid.coords + grid.tile_size <= SIZE).all(axis=1)
    return tuple(grid.coords[inside][inside.sum() // 2].tolist())


def run(store, out, *more):
    return main(["heatmap", str(store), *map(str, more), "--out", str(out)])


def test_a_box_becomes_a_map_of_patches(made, place, tmp_path, capsys):
    x, y = place
    like, box = f"{x + 112},{y + 112}", f"{x + 28},{y + 14},56,42"
    capsys.readouterr()
    out = tmp_path / "fine.ome.tif"
    assert run(made[1], out, "--like", like, "--fine", box, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    (heatmap,) = read_heatmaps(out)
    assert heatmap.name == "similarity, 7 um"
    assert heatmap.values.shape == (3, 4)
    assert heatmap.origin == (x + 28, y + 14)
    assert heatmap.stride == 14
    known = int(np.isfinite(heatmap.values).sum())
    assert report["patches"] == known > 0
    assert report["unreadable_tiles"] == 0
    # The same place from a larger box, as QuPath's objects.
    tiles = tmp_path / "fine.geojson"
    larger = f"{x},{y},224,224"
    assert run(made[1], tiles, "--like", like, "--fine", larger) == 0
    assert " patches, similarity, 7 um " in capsys.readouterr().out
    found = {o.geometry.centroid.coords[0]: o for o in read_geojson(tiles)}
    one = found[x + 35.0, y + 21.0]
    assert one.geometry.area == 14**2
    value = one.measurements["similarity, 7 um"]
    assert value == pytest.approx(heatmap.at(x + 35, y + 21), abs=2e-3)


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ("900,700,400,400", "leaves drawn.tif, which is 1120 x 896 level-0 pixels"),
        ("0,0,20,20", "no tissue in the box"),
    ],
)
def test_boxes_that_make_no_sense_are_told_in_one_line(
    made, place, tmp_path, capsys, box, says
):
    out, (x, y) = tmp_path / "no.ome.tif", place
    assert run(made[1], out, "--like", f"{x + 112},{y + 112}", "--fine", box) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert not out.exists()


def test_it_goes_with_places_and_with_the_stores_own_slide(
    made, place, tmp_path, capsys
):
    slide, store = made
    out = tmp_path / "no.ome.tif"
    x, y = place
    like = ("--like", f"{x + 112},{y + 112}", "--fine", f"{x},{y},28,28")
    assert run(store, out, "--outliers", "--fine", "0,0,9,9") == 1
    assert "--fine goes with --like" in capsys.readouterr().err
    other = draw_slide(tmp_path / "other.tif", width=600, height=500, seed=3)
    assert run(store, out, *like, "--slide", other) == 1
    assert "was not made of other.tif" in capsys.readouterr().err
    # Its encoder has other weights now.
    copy = shutil.copytree(store, tmp_path / "copy.zarr")
    attrs = zarr.open_group(copy, mode="a").attrs
    attrs["weights_revision"] = "bundled:000000000000"
    assert run(copy, out, *like) == 1
    assert "was made with other weights" in capsys.readouterr().err
    # The slide has moved.
    moved = tmp_path / "moved.tif"
    shutil.move(slide, moved)
    try:
        assert run(store, out, *like) == 1
        assert "say where it is with --slide" in capsys.readouterr().err
        assert run(store, out, *like, "--slide", moved) == 0
    finally:
        shutil.move(moved, slide)
    assert out.exists()
