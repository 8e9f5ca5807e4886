"""A virtual slide: every chunk the same, whenever and in whatever order it is made."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import zarr
from plain_generator import PlainGenerator

from napari_pathfm.embeddings import embed_slide, open_store
from napari_pathfm.errors import (
    Cancelled,
    OutputError,
    OutsideSlideError,
    PathfmError,
    StoreError,
)
from napari_pathfm.generators import load_generator
from napari_pathfm.slides import draw_slide, open_slide
from napari_pathfm.synthesis import Chunk, ChunkFiles, VirtualSlide, verify

FAST = {"sampler": "euler", "steps": 2}


@pytest.fixture(scope="module")
def store(slide, encoder, tmp_path_factory):
    return embed_slide(slide, encoder, tmp_path_factory.mktemp("v") / "drawn.zarr")


@pytest.fixture
def virtual(slide, store):
    return VirtualSlide(slide, store, PlainGenerator(), seed=3, **FAST)


def tissue(virtual):
    return [c for c in virtual.all_chunks() if not virtual.is_glass(c)]


def test_a_chunk_is_the_same_alone_in_a_pan_in_another_order_and_in_dask(
    slide, store, virtual
):
    assert virtual.shape == (1536, 2048)
    assert (virtual.chunk_px, virtual.chunks) == (504, (4, 5))
    chunk = next(c for c in tissue(virtual) if min(c.row, c.column) > 0)
    alone = virtual.make(chunk)
    assert alone.std() > 5
    other = VirtualSlide(slide, store, PlainGenerator(), seed=3, **FAST)
    for before in reversed(list(other.all_chunks())):
        other.make(before)
    np.testing.assert_array_equal(other.make(chunk), alone)
    y, x = chunk.row * 504, chunk.column * 504
    height, width = alone.shape[:2]
    pan = other.read(x - 30, y - 20, width + 30, height + 20)
    np.testing.assert_array_equal(pan[20:, 30:], alone)
    levels = virtual.pyramid()
    assert [level.shape for level in levels] == [(1536, 2048, 3), (768, 1024, 3)]
    again = np.asarray(levels[0][y : y + height, x : x + width])
    np.testing.assert_array_equal(again, alone)
    half = np.asarray(levels[1][y // 2 : (y + height) // 2, x // 2 : (x + width) // 2])
    blocks = alone.reshape(height // 2, 2, width // 2, 2, 3).astype(int).sum((1, 3))
    np.testing.assert_array_equal(half, (blocks + 2) // 4)


def test_the_network_that_comes_with_it_makes_the_same_chunk_twice(slide, store):
    one, two = (
        VirtualSlide(
            slide, store, load_generator(device="cpu"), sampler="euler", steps=1
        )
        for _ in range(2)
    )
    chunk = min(tissue(one), key=lambda c: len(one._windows(c, 1)))
    np.testing.assert_array_equal(one.make(chunk), two.make(chunk))


def test_neighbours_meet_without_a_seam(virtual):
    first = next(
        c
        for c in tissue(virtual)
        if len(virtual._windows(Chunk(c.row, c.column + 1), 0)) > 10
        and len(virtual._windows(c, 0)) > 10
    )
    both = virtual.read(first.column * 504, first.row * 504, 1008, 504).astype(int)
    steps = np.abs(np.diff(both, axis=1)).mean((0, 2))
    cells = steps[7::8]
    border = steps[503]
    assert 0.8 < border / np.delete(cells, 503 // 8).mean() < 1.2


def test_seed_place_and_condition_make_it(slide, store, virtual):
    one, two = tissue(virtual)[:2]
    other = VirtualSlide(slide, store, PlainGenerator(), seed=4, **FAST)
    assert (virtual.make(one) != other.make(one)).mean() > 0.5
    assert (virtual.make(one)[:50, :50] != virtual.make(two)[:50, :50]).mean() > 0.5
    told = virtual._conditions
    grid, row = store.grid, len(store.coords) // 2
    centre = store.coords[row] + grid.tile_size / 2
    np.testing.assert_allclose(told.at(*centre), store.features[row].astype(np.float32))
    between = told.at(centre[0] + grid.stride / 2, centre[1])
    cells = store.cells.tolist()
    beside = cells.index([cells[row][0], cells[row][1] + 1])
    mean = store.features[[row, beside]].astype(np.float64).mean(0)
    np.testing.assert_allclose(between, mean, rtol=1e-5)
    assert told.at(-5000, -5000) is None


def test_glass_is_made_without_the_network(virtual):
    glass = [c for c in virtual.all_chunks() if virtual.is_glass(c)]
    assert glass
    assert np.unique(virtual.make(glass[0])).tolist() == [243]
    assert virtual._generator.passes == 0
    with pytest.raises(OutsideSlideError, match="no chunk"):
        virtual.make(Chunk(4, 0))
    with pytest.raises(OutsideSlideError, match="leaves the virtual slide"):
        virtual.read(2000, 0, 100, 100)


def test_provenance_makes_any_part_again(slide, store, virtual):
    part = virtual.part((900, 500, 300, 200))
    assert part == (900, 500, 300, 200)
    told = type(virtual.provenance).from_json(virtual.provenance_of(part).to_json())
    assert (told.action, told.box, told.mpp) == ("virtual", (900, 500, 300, 200), 0.5)
    pixels = virtual.read(*part)
    given = {"slide": slide, "store": store}
    found = verify(pixels, told, PlainGenerator(), **given)
    assert found.identical
    assert found.same_condition
    changed = pixels.copy()
    changed[5, 5] ^= 1
    assert not verify(changed, told, PlainGenerator(), **given).identical
    with pytest.raises(PathfmError, match="--store"):
        verify(pixels, told, PlainGenerator(), slide=slide)
    odd = replace(told, details={**told.details, "chunk": 5})
    with pytest.raises(PathfmError, match="chunk 5, here 3"):
        verify(pixels, odd, PlainGenerator(), **given)
    odd = replace(told, details={**told.details, "window_step": 14})
    with pytest.raises(PathfmError, match="window_step 14, here 21"):
        verify(pixels, odd, PlainGenerator(), **given)
    with pytest.raises(PathfmError, match="resized since"):
        verify(pixels[:-1], told, PlainGenerator(), **given)


def test_stopping_keeps_what_is_made(slide, store, tmp_path):
    files = ChunkFiles(tmp_path)
    virtual = VirtualSlide(slide, store, PlainGenerator(), files=files, **FAST)
    one, two = tissue(virtual)[:2]
    made = virtual.make(one)
    with pytest.raises(Cancelled):
        virtual.make(two, lambda *_: False)
    again = VirtualSlide(slide, store, PlainGenerator(), files=files, **FAST)
    np.testing.assert_array_equal(again.make(one), made)
    assert again._generator.passes == 0
    assert again.kept(two) is None
    # Another seed is another slide.
    other = VirtualSlide(slide, store, PlainGenerator(), seed=1, files=files, **FAST)
    assert other.kept(one) is None


def test_chunk_files_are_bounded_and_damage_is_made_again(virtual, tmp_path):
    files = ChunkFiles(tmp_path, 20_000).of(virtual.provenance)
    noise = np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8)
    for column in range(5):
        files.put(0, column, noise)
        os.utime(files._path(0, column), ns=(column, column))
    assert files.get(0, 0, noise.shape) is None
    np.testing.assert_array_equal(files.get(0, 4, noise.shape), noise)
    kept = sum(path.stat().st_size for path in tmp_path.rglob("*.npz"))
    assert 6_000 < kept <= 20_000
    assert files.get(0, 4, (50, 41, 3)) is None
    path = files._path(0, 4)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 255
    path.write_bytes(whole)
    assert files.get(0, 4, noise.shape) is None
    path.write_bytes(whole[:100])
    assert files.get(0, 4, noise.shape) is None


def test_a_disk_that_refuses_costs_only_time(virtual, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    files = ChunkFiles(tmp_path / "file").of(virtual.provenance)
    files.put(0, 0, np.zeros((2, 2, 3), np.uint8))
    assert "is not kept" in caplog.text
    needed = ChunkFiles(tmp_path / "file", needed=True).of(virtual.provenance)
    with pytest.raises(OutputError, match="run the same command again"):
        needed.put(0, 0, np.zeros((2, 2, 3), np.uint8))


def test_what_a_killed_process_left_in_the_cache_goes(virtual, tmp_path):
    files = ChunkFiles(tmp_path).of(virtual.provenance)
    pixels = np.zeros((2, 2, 3), np.uint8)
    files.put(0, 0, pixels)
    old, new = (tmp_path / files._key / f"{name}.part" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    files.put(0, 1, pixels)
    # The other may be being written just now.
    assert (old.exists(), new.exists()) == (False, True)
    assert files.size() == sum(path.stat().st_size for path in tmp_path.rglob("*.npz"))


def test_bad_stores_are_one_line(slide, store, tmp_path):
    generator = PlainGenerator()
    draw_slide(tmp_path / "other.tif", width=1600, height=1200, seed=5)
    says = r"not hold the embeddings of other\.tif"
    with (
        open_slide(tmp_path / "other.tif") as other,
        pytest.raises(StoreError, match=says),
    ):
        VirtualSlide(other, store, generator)
    generator.spec = replace(generator.spec, encoder="h0-mini")
    with pytest.raises(StoreError, match="embed the slide with --encoder h0-mini"):
        VirtualSlide(slide, store, generator)
    shutil.copytree(store.path, tmp_path / "half.zarr")
    zarr.open_group(tmp_path / "half.zarr")["done"][0] = False
    half = open_store(tmp_path / "half.zarr")
    with pytest.raises(StoreError, match="is not finished"):
        VirtualSlide(slide, half, PlainGenerator())
    with pytest.raises(PathfmError, match="sde"):
        VirtualSlide(slide, store, PlainGenerator(), sampler="sde")
