"""``virtual`` from a shell: a pyramid that can be made again, and resumed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from plain_generator import PlainGenerator

from napari_pathfm.cli import main
from napari_pathfm.embeddings import embed_slide
from napari_pathfm.errors import Cancelled, OutputError
from napari_pathfm.exports import (
    check_tiff_output,
    parts_folder,
    read_pixels,
    read_provenance,
    write_virtual,
)
from napari_pathfm.slides import Slide
from napari_pathfm.synthesis import ChunkFiles, VirtualSlide


@pytest.fixture(scope="module")
def store(slide, encoder, tmp_path_factory):
    return embed_slide(slide, encoder, tmp_path_factory.mktemp("v") / "drawn.zarr")


@pytest.fixture
def told(slide, store, tmp_path, monkeypatch):
    made = []

    def load(*_names, **_options):
        made.append(PlainGenerator())
        return made[-1]

    monkeypatch.setattr("napari_pathfm.generators.load_generator", load)
    ask = ["virtual", str(slide.path), str(store.path), "--sampler", "euler"]
    return [*ask, "--steps", "2", "--out", str(tmp_path / "v.ome.tif")], made


def test_a_whole_slide_becomes_a_pyramid_that_can_be_made_again(
    told, slide, store, tmp_path, capsys
):
    ask, _ = told
    assert main([*ask, "--seed", "5", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["width"], report["height"]) == (2048, 1536)
    assert report["chunks"] == 20 > report["glass"] > 0
    out = tmp_path / "v.ome.tif"
    assert [path.name for path in tmp_path.iterdir()] == ["v.ome.tif"]
    provenance = read_provenance(out)
    assert (provenance.action, provenance.seed) == ("virtual", 5)
    with tifffile.TiffFile(out) as tif:
        levels = tif.series[0].levels
        assert [level.shape for level in levels] == [
            (1536 >> n, 2048 >> n, 3) for n in range(4)
        ]
        assert levels[0].keyframe.compression == 8
        pixels = levels[0].asarray()
    virtual = VirtualSlide(
        slide, store, PlainGenerator(), seed=5, sampler="euler", steps=2
    )
    np.testing.assert_array_equal(pixels, virtual.read(0, 0, 2048, 1536))
    placed = read_pixels(out)
    assert (placed.origin, placed.stride, placed.pixel_um) == ((0, 0), 1, 0.5)
    verify = ["provenance", str(out), "--verify", "--slide", str(slide.path)]
    assert main([*verify, "--store", str(store.path)]) == 0
    assert "byte for byte" in capsys.readouterr().out
    assert main(verify) == 1
    assert "--store" in capsys.readouterr().err


def test_a_run_that_was_stopped_goes_on(told, slide, store, tmp_path):
    out = tmp_path / "v.ome.tif"
    whole = PlainGenerator()
    settings = {"sampler": "euler", "steps": 2}
    part = (400, 300, 700, 600)
    fresh = VirtualSlide(slide, store, whole, **settings)
    wanted = fresh.read(*part)
    generator = PlainGenerator()
    files = ChunkFiles(parts_folder(out))
    virtual = VirtualSlide(slide, store, generator, files=files, **settings)
    budget = iter([True] * (whole.passes // 2))
    with pytest.raises(Cancelled):
        write_virtual(out, virtual, part, on_step=lambda *_: next(budget, False))
    assert not out.exists()
    ask, made = told
    assert main([*ask, "--box", "400,300,700,600"]) == 0
    assert 0 < made[0].passes < whole.passes
    np.testing.assert_array_equal(tifffile.imread(out), wanted)
    assert not parts_folder(out).exists()


KILLED = """
import sys
from plain_generator import PlainGenerator
import napari_pathfm.generators
from napari_pathfm.cli import main
napari_pathfm.generators.load_generator = lambda *_, **__: PlainGenerator()
if sys.argv[1] == "writing":
    import time
    from napari_pathfm.exports import _ome_tiff
    tiles = _ome_tiff._tiles
    def slowly(level):
        for number, tile in enumerate(tiles(level)):
            yield tile
            if number == 4:
                print("now", flush=True)
                time.sleep(60)
    _ome_tiff._tiles = slowly
main(sys.argv[2:])
"""


@pytest.mark.parametrize("when", ["making", "writing"])
def test_a_killed_process_leaves_no_half_file_and_goes_on(
    when, told, slide, store, tmp_path
):
    out = tmp_path / "v.ome.tif"
    ask, made = told
    here = os.pathsep.join(path for path in sys.path if path)
    killed = subprocess.Popen(
        [sys.executable, "-c", KILLED, when, *ask],
        env={**os.environ, "PYTHONPATH": here},
        stdout=subprocess.PIPE,
    )
    if when == "writing":
        assert killed.stdout.readline().strip() == b"now"
    else:
        until = time.monotonic() + 60
        while not list(parts_folder(out).rglob("*.npz")):
            assert time.monotonic() < until
            time.sleep(0.01)
    killed.kill()
    killed.communicate()
    assert [path.name for path in tmp_path.iterdir()] == ["v.ome.tif.parts"]
    assert bool(list(parts_folder(out).glob(".*.partial"))) == (when == "writing")
    assert main(ask) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["v.ome.tif"]
    virtual = VirtualSlide(slide, store, PlainGenerator(), sampler="euler", steps=2)
    wanted = virtual.read(0, 0, 2048, 1536)
    np.testing.assert_array_equal(tifffile.imread(out), wanted)
    assert made[0].passes < virtual._generator.passes
    assert (made[0].passes == 0) == (when == "writing")


def test_a_disk_without_room_is_told_of_before_any_work(
    told, tmp_path, monkeypatch, capsys
):
    ask, made = told
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
    assert main(ask) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "GB are free there" in line
    assert made[0].passes == 0
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_stops_the_run_and_is_gone_on_with(
    told, slide, store, tmp_path, monkeypatch, capsys
):
    ask, made = told
    whole = VirtualSlide(slide, store, PlainGenerator(), sampler="euler", steps=2)
    wanted = whole.read(0, 0, 2048, 1536)
    save, saved = np.savez_compressed, []

    def full(file, **arrays):
        if len(saved) == 3:
            file.write(b"begun")
            raise OSError(28, "No space left on device")
        saved.append(file)
        save(file, **arrays)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", full)
        assert main(ask) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "No space left on device" in line
    assert "run the same command again" in line
    # It stops there, does not go on in vain, and leaves nothing that is half.
    assert 0 < made[0].passes < whole._generator.passes
    left = [path.suffix for path in parts_folder(tmp_path / "v.ome.tif").glob("*/*")]
    assert left == [".npz"] * 3
    assert main(ask) == 0
    assert made[0].passes + made[1].passes < 1.5 * whole._generator.passes
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "v.ome.tif"), wanted)


def test_a_folder_that_refuses_is_told_of_before_any_work(
    told, tmp_path, monkeypatch, capsys
):
    ask, made = told

    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert main(ask) == 1
    assert "Read-only file system" in capsys.readouterr().err
    assert not made
    (tmp_path / "d.ome.tif").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_tiff_output(tmp_path / "d.ome.tif")


def test_a_changed_pixel_is_found_and_large_files_are_not_loaded(
    told, slide, store, tmp_path, monkeypatch, capsys
):
    ask, _ = told
    out = tmp_path / "v.ome.tif"
    assert main([*ask, "--box", "400,300,700,600"]) == 0
    monkeypatch.setattr(
        "tifffile.TiffPageSeries.asarray", lambda *_, **__: pytest.fail("loaded")
    )
    assert main(["provenance", str(out), "--json"]) == 0
    verify = ["provenance", str(out), "--verify", "--slide", str(slide.path)]
    verify += ["--store", str(store.path)]
    assert main(verify) == 0
    monkeypatch.undo()
    read = Slide.read

    def changed(self, x, y, width, height, **more):
        pixels = read(self, x, y, width, height, **more)
        if self.path == out and x <= 650 < x + width and y <= 550 < y + height:
            pixels[550 - y, 650 - x, 1] ^= 2
        return pixels

    monkeypatch.setattr(
        "napari_pathfm.generators.load_generator", lambda *_, **__: PlainGenerator()
    )
    monkeypatch.setattr(Slide, "read", changed)
    capsys.readouterr()
    assert main(verify) == 1
    assert "up to 2 of 255" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--box", "5000,0,300,300"], "leaves drawn.tif"),
        (["--out", "v.png"], ".ome.tif"),
        (["--out", "absent/v.ome.tif"], "no folder"),
        (["--sampler", "sde"], "sde"),
    ],
)
def test_bad_asks_are_one_line(told, more, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*told[0], *more]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert not list(tmp_path.iterdir())
