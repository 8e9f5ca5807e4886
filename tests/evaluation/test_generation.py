"""Generated against real tiles: what is refused, and the report from the shell."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from napari_pathfm.cli import main
from napari_pathfm.errors import PathfmError
from napari_pathfm.evaluation import equal_sides
from napari_pathfm.evaluation._codec import jpeg
from napari_pathfm.evaluation._copies import Gallery, Threshold
from napari_pathfm.slides._drawn import draw_tissue


@pytest.fixture(scope="module")
def tissue():
    """One drawn piece of tissue to cut tiles from."""
    return draw_tissue(1120, 1120, mpp=0.5, seed=0)


def tiles(tissue, n, px=112, seed=0):
    """Cut tiles; glass is left out, since a blank tile is nobody's copy."""
    rng = np.random.default_rng(seed)
    found = []
    while len(found) < n:
        x, y = rng.integers(0, len(tissue) - px, 2)
        tile = tissue[y : y + px, x : x + px]
        if tile.std() > 25:
            found.append(tile)
    return found


def write(folder, pictures, suffix="png", **options):
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number:03}.{suffix}", **options)
    return folder


@pytest.fixture
def folders(tmp_path, tissue):
    real = write(tmp_path / "real", tiles(tissue, 50))
    return real, write(tmp_path / "made", tiles(255 - tissue, 24, seed=1))


def test_as_many_on_every_side(folders):
    sides = equal_sides(*folders)
    assert len(sides.real) == len(sides.floor) == len(sides.generated) == 24
    drawn = {tile.tobytes() for tile in sides.real}
    assert not drawn & {tile.tobytes() for tile in sides.floor}
    assert sides.facts["codec"] == "PNG (lossless)"
    assert sides.facts["tile"] == "112 x 112 px, as in the files"
    assert len(equal_sides(*folders, n=20).real) == 20
    with pytest.raises(PathfmError, match="25 tiles a side cannot be had from 50 real"):
        equal_sides(*folders, n=25)
    with pytest.raises(PathfmError, match="twice as many real"):
        equal_sides(*folders, n=5)


def test_another_codec_is_refused(folders, tissue, tmp_path):
    real, made = folders
    lossy = write(tmp_path / "jpg", tiles(tissue, 50), "jpg", quality=75)
    with pytest.raises(PathfmError, match="compressed differently"):
        equal_sides(lossy, made)
    same = write(tmp_path / "jpg2", tiles(tissue, 24), "jpg", quality=75)
    assert "JPEG (tables" in equal_sides(lossy, same).facts["codec"]
    finer = write(tmp_path / "jpg3", tiles(tissue, 24), "jpg", quality=95)
    with pytest.raises(PathfmError, match="give --recompress 95"):
        equal_sides(lossy, finer)
    sides = equal_sides(real, lossy, recompress=90)
    assert "JPEG quality 90, 4:2:0, on all sides" in sides.facts["codec"]
    first = {jpeg(tile, 90).tobytes() for tile in tiles(tissue, 50)}
    assert {tile.tobytes() for tile in sides.real} < first


def test_another_size_is_refused(folders, tissue, tmp_path):
    real, _ = folders
    larger = write(tmp_path / "large", tiles(tissue, 24, px=128))
    with pytest.raises(PathfmError, match=r"real: 112 x 112; .*128 x 128.*--crop"):
        equal_sides(real, larger)
    sides = equal_sides(real, larger, crop=100)
    assert {tile.shape for tile in sides.generated} == {(100, 100, 3)}
    whole = {tile[14:114, 14:114].tobytes() for tile in tiles(tissue, 24, px=128)}
    assert {tile.tobytes() for tile in sides.generated} <= whole
    with pytest.raises(PathfmError, match="smaller than 120 px"):
        equal_sides(real, larger, crop=120)
    with pytest.raises(PathfmError, match="no folder of tiles"):
        equal_sides(tmp_path / "no", larger)


def test_planted_copies_are_found_among_others(encoder, tissue):
    known = tiles(tissue, 24, seed=2)
    others = [draw_tissue(112, 112, mpp=0.5, seed=100 + i) for i in range(16)]
    gallery = Gallery(known, encoder)
    limit = Threshold.of(gallery.closeness(others[:8]))
    turned = [np.rot90(tile)[:, ::-1] for tile in known[:4]]
    seen = gallery.closeness(turned)
    assert seen.nearest.tolist() == [0, 1, 2, 3]
    assert limit.flags(seen).all()
    assert not limit.flags(gallery.closeness(others[8:])).any()


def test_from_the_shell(folders, tissue, tmp_path, in_the_shell, capsys, monkeypatch):
    monkeypatch.setattr("napari_pathfm.evaluation._generation._PLANTED", 3)
    real, made = map(str, folders)
    copied = tiles(tissue, 24, seed=5)
    train = write(tmp_path / "train", copied)
    for number, tile in enumerate(copied[:6]):
        Image.fromarray(tile).rotate(90).save(tmp_path / "made" / f"{number:03}.png")
    arguments = ["evaluate", "generation", real, made, "--train", str(train)]
    arguments += ["--bootstrap", "50", "--n", "20", "--out", str(tmp_path), "--json"]
    assert main([*arguments, "--conditioned-by", "bundled", "--mpp", "0.5"]) == 0
    report = json.loads(capsys.readouterr().out)
    spaces, copies = report["results"]["spaces"], report["results"]["copies"]
    assert list(spaces) == ["small", "colour and contrast"]
    for arms in spaces.values():
        assert list(arms) == [
            "generated",
            "floor (real)",
            *(
                f"{side}, JPEG {quality}"
                for quality in (75, 85, 95)
                for side in ("generated", "floor (real)")
            ),
            "generated, to training tiles",
            "floor (real), to training tiles",
        ]
        # Inverted tissue is far from tissue, whichever way it is looked at.
        apart, floor = arms["generated"], arms["floor (real)"]
        assert apart["Frechet"]["value"] > floor["Frechet"]["value"]
        assert apart["precision"]["value"] < floor["precision"]["value"]
        assert apart["coverage"]["value"] <= floor["coverage"]["value"]
        # JPEG moves the floor, the harder the more.
        moved = [arms[f"floor (real), JPEG {q}"]["Frechet"]["value"] for q in (75, 95)]
        assert moved[0] != moved[1]
    assert copies["planted_found"]["the same"] == 1
    # Copies are looked for among all training tiles, not those drawn alone.
    assert copies["searched"] == 24
    assert copies["n_flagged"] >= 4
    # By the encoder that conditioned nothing, and by texture.
    assert set(copies["thresholds"]) == {"embedding cosine", "pixel correlation"}
    facts = report["facts"]
    for name in ("encoder", "revision", "n", "codec", "resize", "mpp", "intervals"):
        assert facts[name]
    assert facts["conditioned_by"] == ["bundled"]
    assert set(report["results"]["gap"]["small"]) == {"generated", "floor (real)"}
    assert (tmp_path / "generation.html").read_text().count("<svg") == 2
    # With none but the encoder that conditioned them, texture alone: it finds them.
    assert main([*arguments, "--conditioned-by", "small"]) == 0
    copies = json.loads(capsys.readouterr().out)["results"]["copies"]
    assert set(copies["thresholds"]) == {"pixel correlation"}
    assert copies["n_flagged"] >= 4


def test_synthetic_tiles_are_no_reference(folders, tmp_path, in_the_shell, capsys):
    from napari_pathfm.exports import export_png
    from napari_pathfm.generators import Provenance, SyntheticImage

    provenance = Provenance("g", "r", "heun", 5, 1.0, (0.0, 1.0), 1, 0.5, "bundled")
    real, made = folders
    pixels = np.asarray(Image.open(real / "001.png"))
    export_png(SyntheticImage(pixels, provenance), real / "001.png")
    arguments = ["evaluate", "generation", str(real), str(made), "--out", str(tmp_path)]
    assert main(arguments) == 1
    assert "holds synthetic tiles, not real ones" in capsys.readouterr().err
