"""The robustness protocol on files, from the shell to the page."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from napari_pathfm.cli import main
from napari_pathfm.errors import MissingMppError, PathfmError
from napari_pathfm.evaluation import (
    Report,
    plism_features,
    registered_slides,
    registered_stores,
    registered_tiles,
    simulated_slides,
    write_report,
)
from napari_pathfm.evaluation._codec import codec_of
from napari_pathfm.evaluation._simulated import (
    SCANNERS,
    STAININGS,
    Scanner,
    Staining,
    rescan,
    restain,
)


def tissue(px=300, seed=0):
    from napari_pathfm.slides._drawn import draw_tissue

    return draw_tissue(px, px, mpp=0.5, seed=seed)


def write_plism(folder, n=30, coordinates=None):
    rng = np.random.default_rng(0)
    base = rng.normal(size=(n, 8))
    for staining in ("GM", "HR"):
        for scanner in ("S60", "AT2"):
            slide = folder / f"{staining}_{scanner}_to_GMH_S60.tif"
            slide.mkdir(parents=True)
            places = (
                np.arange(3 * n).reshape(n, 3) if coordinates is None else coordinates
            )
            noisy = base + 0.5 * rng.normal(size=base.shape)
            np.save(slide / "features.npy", np.hstack([places, noisy]).astype("f4"))


def told(capsys):
    return json.loads(capsys.readouterr().out)


def test_plism_features_from_the_shell(tmp_path, capsys):
    write_plism(tmp_path / "h0_mini")
    out = tmp_path / "out"
    arguments = ["evaluate", "robustness", str(tmp_path / "h0_mini"), "--out", str(out)]
    assert main([*arguments, "--json", "--bootstrap", "50"]) == 0
    report = told(capsys)
    facts, results = report["facts"], report["results"]
    assert facts["encoder"] == "h0_mini"
    assert facts["stainings"] == ["GM", "HR"]
    assert facts["scanners"] == ["AT2", "S60"]
    assert facts["n_places"] == 30
    assert len(results["pairs"]) == 6
    score = results["score"]
    assert score["low"] <= score["value"] <= score["high"]
    assert json.loads((out / "robustness.json").read_text())["results"] == results
    assert main([*arguments, "--bootstrap", "50", "--tiles", "20"]) == 0
    printed = capsys.readouterr().out
    assert "20 places" in printed
    assert "score:" in printed


def test_the_page_stands_alone(tmp_path, capsys):
    write_plism(tmp_path / "f")
    out = tmp_path / "out"
    main(["evaluate", "robustness", str(tmp_path / "f"), "--out", str(out)])
    page = (out / "robustness.html").read_text()
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    pictures = page.split("<svg")[1:]
    assert len(pictures) == 3
    for picture in pictures:
        ET.fromstring("<svg" + picture.split("</svg>")[0] + "</svg>")
    assert "GM_AT2_to_GMH_S60.tif" in page
    for fact in ("revision", "codec", "mpp", "percentile bootstrap"):
        assert fact in page


def test_an_index_file_chooses_places(tmp_path, capsys):
    write_plism(tmp_path / "f")
    np.save(tmp_path / "rows.npy", np.arange(0, 30, 2))
    arguments = ["evaluate", "robustness", str(tmp_path / "f"), "--out", str(tmp_path)]
    arguments += ["--subset", str(tmp_path / "rows.npy"), "--bootstrap", "20", "--json"]
    assert main(arguments) == 0
    assert told(capsys)["facts"]["n_places"] == 15
    np.save(tmp_path / "rows.npy", np.array([0, 30]))
    assert main(arguments) == 1
    assert "not distinct rows of 30" in capsys.readouterr().err


def test_other_places_are_refused(tmp_path):
    write_plism(tmp_path / "f")
    file = tmp_path / "f" / "HR_S60_to_GMH_S60.tif" / "features.npy"
    moved = np.load(file)
    moved[0, 1] += 1
    np.save(file, moved)
    with pytest.raises(PathfmError, match="has other places"):
        plism_features(tmp_path / "f")
    file.write_bytes(b"no array")
    with pytest.raises(PathfmError, match="is no array of features"):
        plism_features(tmp_path / "f")


def test_registered_pictures_of_other_sizes(tmp_path, encoder):
    picture = Image.fromarray(tissue())
    picture.save(tmp_path / "one.png")
    picture.resize((303, 303), Image.Resampling.BICUBIC).save(tmp_path / "two.png")
    paths = [tmp_path / "one.png", tmp_path / "two.png"]
    found = registered_slides(paths, encoder, tile=112, stride=47)
    assert found.n == 25
    assert found.facts["mpp"] is None
    assert found.facts["codec"] == "PNG (lossless)"
    a, b = found.load(0), found.load(1)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() > 0.9  # the same places, a little resized
    assert "share 58% of their side" in found.notes[0]
    with pytest.raises(MissingMppError, match="--tile"):
        registered_slides(paths, encoder)
    with pytest.raises(PathfmError, match="no tile of 400 px fits"):
        registered_slides(paths, encoder, tile=400)
    picture.resize((303, 250)).save(tmp_path / "two.png")
    with pytest.raises(PathfmError, match="of other shapes"):
        registered_slides(paths, encoder, tile=112)


def test_folders_of_tiles(tmp_path, encoder):
    for scanner in ("a", "b"):
        (tmp_path / scanner).mkdir()
        for number in range(3):
            tile = Image.fromarray(tissue(224, seed=number))
            tile.save(tmp_path / scanner / f"{number}.png")
    found = registered_tiles([tmp_path / "a", tmp_path / "b"], encoder, mpp=0.5)
    np.testing.assert_array_equal(found.load(0), found.load(1))
    assert found.n == 3
    (tmp_path / "b" / "2.png").rename(tmp_path / "b" / "3.png")
    with pytest.raises(PathfmError, match="tiles of other names"):
        registered_tiles([tmp_path / "a", tmp_path / "b"], encoder)


def test_plism_tiles(tmp_path, in_the_shell, capsys):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: [h5]")
    for scanner in ("S60", "AT2"):
        with h5py.File(tmp_path / f"GMH_{scanner}_to_GMH_S60.tif.h5", "w") as file:
            for number in range(12):
                file[f"tile_{number}"] = tissue(224, seed=number)
    arguments = ["evaluate", "robustness", str(tmp_path), "--encoder", "bundled"]
    arguments += ["--out", str(tmp_path / "o"), "--bootstrap", "20", "--json"]
    assert main(arguments) == 0
    report = told(capsys)
    assert report["results"]["groups"]["scanner"]["top-1"]["median"]["value"] == 1
    assert report["facts"]["scanners"] == ["AT2", "S60"]
    assert report["facts"]["n_places"] == 12


def test_stores_are_compared_cell_by_cell(tmp_path, slide, encoder):
    from napari_pathfm.embeddings import embed_slide

    stores = [embed_slide(slide, encoder, tmp_path / f"{n}.zarr") for n in "ab"]
    table = tmp_path / "slides.csv"
    table.write_text("file,scanner\ndrawn,one\n")
    found = registered_stores(stores, table=table)
    assert found.n == len(stores[0].coords)
    np.testing.assert_array_equal(found.load(0), stores[1].features)
    stores[1].attrs["weights_revision"] = "another"
    with pytest.raises(PathfmError, match="another weights"):
        registered_stores(stores)


def test_simulated_conditions(tmp_path, slide, encoder, capsys):
    heard = []
    found = simulated_slides(
        slide.path,
        encoder,
        stainings=(STAININGS[0], STAININGS[3]),
        scanners=SCANNERS[:2],
        limit=3,
        progress=lambda d, t: heard.append((d, t)),
    )
    names = [condition.name for condition in found.conditions]
    assert names == [
        "as it is / as it is",
        "as it is / soft",
        "pale / as it is",
        "pale / soft",
    ]
    assert found.n == 3
    assert heard[-1] == (12, 12)
    features = [found.load(i) for i in range(4)]
    for i, j in combinations(range(4), 2):
        assert not np.allclose(features[i], features[j])
    assert found.facts["simulated"] is True


def test_simulation_from_the_shell(tmp_path, slide, in_the_shell, capsys, monkeypatch):
    module = "napari_pathfm.evaluation._simulated"
    monkeypatch.setattr(f"{module}.STAININGS", STAININGS[:2])
    monkeypatch.setattr(f"{module}.SCANNERS", SCANNERS[:2])
    arguments = ["evaluate", "robustness", str(slide.path), "--simulate"]
    arguments += ["--encoder", "bundled", "--tiles", "6", "--bootstrap", "20"]
    assert main([*arguments, "--out", str(tmp_path), "--json"]) == 0
    report = told(capsys)
    assert report["results"]["score"]["value"] > 0
    assert any("simulated" in note for note in report["notes"])


def test_restaining_scales_densities():
    tile = tissue(64)
    assert restain(tile, STAININGS[0]) is tile
    darker = restain(tile, Staining("twice", (2, 2, 2)))
    # Twice the density is the square of the transmission.
    expected = 255 * (np.maximum(tile, 1) / 255.0) ** 2
    assert np.abs(darker - expected).max() <= 0.51


def test_scanners_do_what_they_say():
    tile = tissue(64)
    np.testing.assert_array_equal(rescan(tile, SCANNERS[0]), tile)
    dim = rescan(tile, Scanner("dim", gain=(0.5, 1.0, 1.0)))
    assert np.abs(dim[..., 0] - tile[..., 0] / 2).max() <= 0.51
    np.testing.assert_array_equal(dim[..., 1:], tile[..., 1:])
    for scanner in (Scanner("b", blur=2.0), Scanner("s", shrink=0.3)):
        assert rescan(tile, scanner).std() < tile.std()
        assert rescan(tile, scanner).shape == tile.shape
    assert (rescan(tile, Scanner("j", quality=30)) != tile).any()


def test_codecs_are_named(tmp_path, slide):
    Image.fromarray(tissue(64)).save(tmp_path / "a.jpg")
    Image.fromarray(tissue(64)).save(tmp_path / "a.png")
    assert codec_of(tmp_path.glob("a.*")) == "JPEG, PNG (lossless)"
    assert codec_of([slide.path]) == "ADOBE_DEFLATE (lossless)"
    (tmp_path / "b.xyz").write_bytes(b"")
    assert codec_of([tmp_path / "b.xyz"]) == ".xyz: not read"


def test_a_report_says_of_what_it_is(tmp_path):
    facts = {"encoder": "e", "revision": "r", "n": 3, "codec": "PNG", "mpp": None}
    with pytest.raises(PathfmError, match="does not state its intervals"):
        Report("p", "P", facts, {})
    report = Report("p", "<P>", facts | {"intervals": "none"}, {"x": float("nan")})
    data, page = write_report(report, tmp_path)
    assert json.loads(data.read_text())["results"] == {"x": None}
    assert "&lt;P&gt;" in page.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.html", "p.json"]
    with pytest.raises(PathfmError, match="choose another folder"):
        write_report(report, data)


def test_bad_input_is_one_line(tmp_path, capsys):
    assert main(["evaluate", "robustness", str(tmp_path / "no")]) == 1
    assert "does not exist" in capsys.readouterr().err
    (tmp_path / "a.png").write_bytes(b"x")
    assert main(["evaluate", "robustness", str(tmp_path)]) == 1
    assert "--simulate" in capsys.readouterr().err
