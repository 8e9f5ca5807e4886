"""The command line end to end, on both real slides."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from napari_pathfm.cli import main
from napari_pathfm.exports import (
    read_geojson,
    read_heatmaps,
    read_pixels,
    read_provenance,
)

POINT = {"CMU-1-Small-Region": "1200,1900", "TCGA-CR-7395-01A-01-TS1": "1500,2200"}


@pytest.fixture(scope="module", params=list(POINT))
def journey(request, cmu_slide_path, tcga_slide_path, tmp_path_factory):
    """Slide, its options, and a folder with its store."""
    name = request.param
    slide = cmu_slide_path if name.startswith("CMU") else tcga_slide_path
    mpp = [] if name.startswith("CMU") else ["--mpp", "0.5"]
    out = tmp_path_factory.mktemp("journey")
    assert main(["embed", str(slide), *mpp, "--out", str(out), "--json"]) == 0
    return str(slide), mpp, out, out / f"{name}.bundled.zarr", POINT[name]


def report(capsys):
    return json.loads(capsys.readouterr().out)


def test_info(journey, capsys):
    slide, mpp, *_ = journey
    assert main(["info", slide, *mpp, "--json"]) == 0
    told = report(capsys)
    assert told["vendor"] == "aperio"
    assert told["mpp"] == (0.5 if mpp else 0.499)
    assert told["mpp_source"] == ("user" if mpp else "file")
    assert 0.3 < told["tissue_fraction"] < 0.7
    assert "label" not in told["associated"]


def test_info_for_people(cmu_slide_path, capsys):
    assert main(["info", str(cmu_slide_path)]) == 0
    printed = capsys.readouterr().out
    assert "0.499 um/px (from the file)" in printed
    assert "1.11 x 1.48 mm" in printed


def test_a_second_embed_has_nothing_to_do(journey, capsys):
    slide, mpp, out, store, _ = journey
    assert main(["embed", slide, *mpp, "--out", str(out), "--json"]) == 0
    (told,) = report(capsys)
    assert told["store"] == str(store)
    assert told["embedded"] == 0
    assert told["tiles"] > 50


def test_several_slides_one_of_them_broken(tmp_path, capsys):
    from napari_pathfm.slides import draw_slide

    study = tmp_path / "study"
    study.mkdir()
    draw_slide(study / "whole.tif", width=600, height=500, levels=1)
    (study / "broken.svs").write_text("not a slide")
    kept = tmp_path / "report.json"
    arguments = ["embed", str(study), "--out", str(tmp_path / "o")]
    arguments += ["--report", str(kept)]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    (failure,) = printed.err.splitlines()
    assert failure.startswith(f"napari-pathfm: {study / 'broken.svs'}: ")
    broken, whole, total = printed.out.splitlines()
    assert "broken.svs: failed: " in broken
    assert "tiles/s" in whole
    assert "2 slides: 1 done, 1 failed" in total
    assert main([*arguments, "--json"]) == 1
    told = report(capsys)
    assert [r["error"] is None for r in told] == [False, True]
    assert told[1]["embedded"] == 0 < told[1]["tiles"]
    assert json.loads(kept.read_text()) == told


def test_a_list_whose_every_slide_fails_needs_no_model(tmp_path, capsys, monkeypatch):
    from napari_pathfm import encoders

    monkeypatch.setattr(encoders, "load_encoder", None)  # calling it would fail
    (tmp_path / "list.csv").write_text("slide,mpp\na.svs,1\nb.svs,1\n")
    assert main(["embed", str(tmp_path / "list.csv"), "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert len(printed.err.splitlines()) == 2
    assert "0 done, 2 failed" in printed.out


def test_heatmap_as_tiff_and_as_tiles(journey, tmp_path, capsys):
    *_, store, point = journey
    tiff, tiles = tmp_path / "h.ome.tif", tmp_path / "h.geojson"
    assert main(["heatmap", str(store), "--like", point, "--out", str(tiff)]) == 0
    assert main(["heatmap", str(store), "--like", point, "--out", str(tiles)]) == 0
    values = tifffile.imread(tiff)
    objects = read_geojson(tiles)
    assert (~np.isnan(values)).sum() == len(objects)
    best = max(objects, key=lambda o: o.measurements["similarity"])
    x, y = map(float, point.split(","))
    left, top, right, bottom = best.geometry.bounds
    assert best.object_type == "tile"
    assert left <= x <= right
    assert top <= y <= bottom
    assert best.measurements["similarity"] == pytest.approx(np.nanmax(values))


def test_heatmaps_and_synthetic_tissue_as_pictures(journey, tmp_path, capsys):
    slide, mpp, _, store, point = journey
    x, y = map(float, point.split(","))
    folder, tiff = tmp_path / "h.ome.zarr", tmp_path / "h.ome.tif"
    assert main(["heatmap", str(store), "--like", point, "--out", str(folder)]) == 0
    assert main(["export", str(folder), "--to", str(tiff)]) == 0
    for path in (folder, tiff):
        (heatmap,) = read_heatmaps(path)
        assert heatmap.at(x, y) == np.nanmax(heatmap.values)
    both, tiles = tmp_path / "both.ome.tif", tmp_path / "tiles.geojson"
    assert main(["export", str(tiff), str(folder), "--to", str(both)]) == 0
    assert len(read_heatmaps(both)) == 2
    assert main(["export", str(tiff), "--to", str(tiles)]) == 0
    assert len(read_geojson(tiles)) == (~np.isnan(heatmap.values)).sum()
    capsys.readouterr()
    fails(["export", str(both), "--to", str(tiles)], capsys, "2 heatmaps")
    fails(["export", str(store), "--to", str(both)], capsys, "make those with")
    settings = ["-n", "2", "--steps", "1", "--out", str(tmp_path)]
    assert main(["generate", slide, *mpp, "--at", point, *settings]) == 0
    capsys.readouterr()
    images = sorted(map(str, tmp_path.glob("*_seed?.png")))
    out = tmp_path / "tissue.ome.tif"
    assert main(["export", *images, "--to", str(out), "--json"]) == 0
    files = [told["out"] for told in report(capsys)]
    assert [Path(file).name for file in files] == [
        "tissue-1.ome.tif",
        "tissue-2.ome.tif",
    ]
    placed = read_pixels(files[1])
    provenance = read_provenance(images[1])
    assert placed.origin == provenance.box[:2]
    assert placed.mpp == pytest.approx(0.5 if mpp else 0.499, rel=1e-3)
    np.testing.assert_array_equal(placed.pixels, np.asarray(Image.open(images[1])))


def test_generate_and_provenance_and_export(journey, tmp_path, capsys):
    slide, mpp, _, _, point = journey
    settings = ["-n", "2", "--seed", "11", "--steps", "3", "--out", str(tmp_path)]
    assert main(["generate", slide, *mpp, "--at", point, *settings, "--json"]) == 0
    told = report(capsys)
    assert [i["seed"] for i in told["images"]] == [11, 12]
    first = told["images"][0]["file"]
    provenance = read_provenance(first)
    assert provenance.synthetic is True
    assert provenance.points == (tuple(map(float, point.split(","))),)
    assert main(["provenance", first, "--json"]) == 0
    assert report(capsys)["seed"] == 11
    regions = tmp_path / "regions.geojson"
    files = [i["file"] for i in told["images"]]
    assert main(["export", *files, "--out", str(regions)]) == 0
    objects = read_geojson(regions)
    assert {o.classification for o in objects} == {"Synthetic"}
    x, y, width, height = told["box"]
    assert objects[0].geometry.bounds == pytest.approx((x, y, x + width, y + height))


def test_a_walk_and_making_a_frame_again(journey, tmp_path, capsys):
    slide, mpp, _, _, point = journey
    x, y = map(float, point.split(","))
    end = f"{x + 150:g},{y + 200:g}"
    arguments = ["generate", slide, *mpp, "--at", point, "--to", end, "--frames", "3"]
    arguments += ["--steps", "2", "--out", str(tmp_path / "walk"), "--json"]
    assert main(arguments) == 0
    told = report(capsys)
    assert [i["fraction"] for i in told["images"]] == [0, 0.5, 1]
    with Image.open(told["animation"]) as animation:
        assert animation.n_frames == 4  # there and back, the ends once
    assert len(read_provenance(told["strip"])) == 3
    frame = told["images"][1]["file"]
    verify = ["provenance", frame, "--verify", "--slide", slide, "--json"]
    assert main(verify) == 0
    assert report(capsys)["identical"] is True
    pixels = np.asarray(Image.open(frame)).copy()
    pixels[0, 0] ^= 1
    with Image.open(frame) as image:
        info = PngInfo()
        info.add_itxt("napari_pathfm", image.text["napari_pathfm"])
    Image.fromarray(pixels).save(frame, pnginfo=info)
    assert main(verify) == 1
    assert report(capsys)["max_difference"] == 1


def test_verify_says_what_it_lacks(journey, tmp_path, capsys, monkeypatch):
    slide, mpp, _, _, point = journey
    monkeypatch.chdir(tmp_path)
    out = ["-n", "1", "--steps", "1", "--out", str(tmp_path / "v"), "--json"]
    assert main(["generate", slide, *mpp, "--at", point, *out]) == 0
    told = report(capsys)
    image, sheet = told["images"][0]["file"], told["contact_sheet"]
    fails(["provenance", image, "--verify"], capsys, "--slide", Path(slide).name)
    fails(["provenance", sheet, "--verify"], capsys, "name the file of one")


@pytest.mark.parametrize(
    "arguments", [["--frames", "3"], ["--to", "5,5", "--at", "9,9"]]
)
def test_options_of_a_walk_alone_are_bad_usage(cmu_slide_path, arguments, tmp_path):
    start = ["generate", str(cmu_slide_path), "--at", "600,900", *arguments]
    with pytest.raises(SystemExit) as stop:
        main([*start, "--out", str(tmp_path / "o")])
    assert stop.value.code == 2


def test_export_of_a_store(journey, tmp_path):
    *_, store, _ = journey
    assert main(["export", str(store), "--out", str(tmp_path / "t.geojson")]) == 0
    assert len(read_geojson(tmp_path / "t.geojson")) > 50


def fails(arguments, capsys, *says):
    """Exit code 1, nothing on stdout, one line on stderr that says these things."""
    assert main([str(a) for a in arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("napari-pathfm: ")
    for word in says:
        assert word in lines[0]


def test_missing_mpp_stops_every_verb_that_needs_it(tcga_slide_path, tmp_path, capsys):
    out = ["--out", tmp_path / "o"]
    fails(["embed", tcga_slide_path, *out], capsys, "TCGA-CR-7395", "--mpp")
    fails(["generate", tcga_slide_path, "--at", "9,9", *out], capsys, "--mpp")
    assert not (tmp_path / "o").exists()


def test_truncated_slide(cmu_slide_path, tmp_path, capsys):
    short = tmp_path / "short.svs"
    short.write_bytes(cmu_slide_path.read_bytes()[:900_000])
    fails(["info", short], capsys, "short.svs")
    fails(["embed", short, "--out", tmp_path / "o"], capsys, "short.svs")
    assert not (tmp_path / "o").exists()


def test_what_is_no_slide(tmp_path, capsys):
    text = tmp_path / "notes.svs"
    text.write_text("not a slide")
    fails(["info", text], capsys, "notes.svs")
    fails(["info", tmp_path / "absent.svs"], capsys, "absent.svs")
    fails(["info", tmp_path], capsys, tmp_path.name)


def test_unknown_models(cmu_slide_path, tmp_path, capsys):
    out = ["--out", tmp_path]
    fails(["embed", cmu_slide_path, "--encoder", "resnet", *out], capsys, "h0-mini")
    at = ["--at", "1200,1900"]
    fails(
        ["generate", cmu_slide_path, *at, "--generator", "gan", *out], capsys, "cytosyn"
    )


def test_points_outside(cmu_slide_path, tmp_path, capsys):
    out = ["--out", tmp_path / "o"]
    fails(["generate", cmu_slide_path, "--at", "99999,5", *out], capsys, "2220 x 2967")
    assert not (tmp_path / "o").exists()


def test_unwritable_output(cmu_slide_path, tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    fails(["embed", cmu_slide_path, "--out", blocked / "o"], capsys, str(blocked))
    at = ["--at", "1200,1900"]
    fails(["generate", cmu_slide_path, *at, "--out", blocked], capsys, str(blocked))
    assert blocked.read_text() == "in the way"


def test_unfit_weights(cmu_slide_path, tmp_path, capsys):
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "model.safetensors")
    fails(
        ["embed", cmu_slide_path, "--weights", tmp_path, "--out", tmp_path / "o"],
        capsys,
        "does not fit",
        "missing",
    )
    assert not (tmp_path / "o").exists()


def test_cytosyn_asks_for_consent(cmu_slide_path, tmp_path, capsys):
    at = ["--at", "1200,1900", "--generator", "cytosyn", "--weights", tmp_path]
    fails(
        ["generate", cmu_slide_path, *at, "--out", tmp_path],
        capsys,
        "--trust-remote-code",
    )


def test_store_and_suffix_errors(tmp_path, capsys):
    fails(
        ["heatmap", tmp_path / "no.zarr", "--like", "1,1", "--out", "h.ome.tif"],
        capsys,
        "no.zarr",
    )
    fails(["heatmap", tmp_path, "--like", "1,1", "--out", "h.jpg"], capsys, ".ome.tif")
    fails(["provenance", tmp_path / "no.png"], capsys, "no.png")


@pytest.mark.parametrize(
    "arguments",
    [[], ["nonsense"], ["info"], ["heatmap", "s", "--like", "here", "--out", "o"]],
)
def test_bad_usage_is_2(arguments):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2


def test_negative_coordinates_can_be_typed(cmu_slide_path, tmp_path, capsys):
    arguments = ["generate", cmu_slide_path, "--at=-5,10", "--out", tmp_path / "o"]
    fails(arguments, capsys, "(-5, 10) lies outside")


def test_h0_mini_and_cytosyn_from_folders(
    h0_mini_folder, cytosyn_folder, tmp_path, capsys
):
    """The published models by name, on random weights in their layout."""
    from napari_pathfm.slides import draw_slide

    slide = tmp_path / "small.tif"
    draw_slide(slide, width=600, height=500, levels=1)
    h0_mini, _ = h0_mini_folder
    embed = ["embed", slide, "--encoder", "h0-mini", "--weights", h0_mini]
    assert main([str(a) for a in [*embed, "--out", tmp_path, "--json"]]) == 0
    (told,) = report(capsys)
    assert told["store"].endswith("small.h0-mini.zarr")
    assert told["embedded"] == told["tiles"] > 0
    generate = ["generate", slide, "--at", "300,250", "--generator", "cytosyn"]
    generate += ["--weights", cytosyn_folder, "--encoder-weights", h0_mini]
    generate += ["--trust-remote-code", "-n", 2, "--steps", 3, "--out", tmp_path / "g"]
    assert main([str(a) for a in [*generate, "--json"]]) == 0
    printed = capsys.readouterr()
    assert "non-commercial" in printed.err
    files = [entry["file"] for entry in json.loads(printed.out)["images"]]
    provenance = read_provenance(files[1])
    assert (provenance.generator, provenance.encoder) == ("cytosyn", "h0-mini")
    assert (provenance.seed, provenance.guidance) == (1, 2.5)


def test_sampler_and_preset_reach_the_provenance(cmu_slide_path, tmp_path, capsys):
    common = ["generate", str(cmu_slide_path), "--at", "1200,1900", "-n", "1"]
    assert main([*common, "--fast", "--out", str(tmp_path / "fast")]) == 0
    told = read_provenance(next((tmp_path / "fast").glob("*_seed0.png")))
    assert (told.sampler, told.preset) == ("dpm", "fast")
    chosen = ["--sampler", "sde", "--steps", "3", "--out", str(tmp_path / "sde")]
    assert main([*common, *chosen]) == 0
    file = next((tmp_path / "sde").glob("*_seed0.png"))
    told = read_provenance(file)
    assert (told.sampler, told.steps, told.preset) == ("sde", 3, "own")
    slide = ["--slide", str(cmu_slide_path)]
    assert main(["provenance", "--verify", str(file), *slide]) == 0
    capsys.readouterr()
    refused = ["--sampler", "pipeline", "--out", str(tmp_path / "no")]
    fails([*common, *refused], capsys, "choose one of heun")
