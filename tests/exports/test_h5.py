"""HDF5 features: the layout of TRIDENT and CLAM, there and back, nothing guessed."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from napari_pathfm.cli import main
from napari_pathfm.embeddings import (
    check_comparable,
    embed_slide,
    import_features,
    open_store,
    slide_attrs,
)
from napari_pathfm.encoders import encoder_spec
from napari_pathfm.errors import PathfmError, StoreError, UnknownModelError
from napari_pathfm.exports import export_store_h5, import_h5
from napari_pathfm.heatmaps import UnitVectors, similarity
from napari_pathfm.slides import draw_slide, open_slide, tile_grid

h5py = pytest.importorskip("h5py")


def make_store(slide, path, seed=0, failed=(), **attrs):
    """A store as a run would have left it, of random features."""
    grid = tile_grid(slide)
    rows = np.setdiff1d(np.arange(len(grid)), failed)
    features = np.random.default_rng(seed).normal(size=(len(rows), 192))
    places = [(row, *grid.coords[row].tolist()) for row in failed]
    names = ("row", "x", "y", "reason")
    attrs = {
        **slide_attrs(slide, grid),
        "slide_path": str(slide.path),
        "encoder": "bundled",
        "weights_revision": "bundled:0123456789ab",
        "pooling": "cls",
        "resampling": slide.resampling(0.5),
        "icc_applied": False,
        "patches": False,
        "failed": [dict(zip(names, (*p, "damaged"), strict=True)) for p in places],
        **attrs,
    }
    return import_features(path, attrs, grid, rows, features.astype(np.float32))


@pytest.fixture
def store(slide, tmp_path):
    return make_store(slide, tmp_path / "s.zarr")


def write_h5(path, features, coords, **attrs):
    with h5py.File(path, "w") as file:
        file["features"] = features
        file["coords"] = coords
        file["coords"].attrs.update(attrs)
    return path


TRIDENT = {
    "patch_size": 256,
    "patch_size_level0": 256,
    "level0_magnification": 20,
    "target_magnification": 20,
    "overlap": 0,
    "name": "drawn",
    "savetodir": "somewhere",
}


@pytest.fixture
def foreign(tmp_path):
    """Twelve tiles of 256 px, as TRIDENT writes them."""
    places = np.stack(np.meshgrid(np.arange(4), np.arange(3)), -1).reshape(-1, 2) * 256
    features = np.random.default_rng(1).normal(size=(12, 192)).astype(np.float32)
    return write_h5(tmp_path / "t.h5", features, places, **TRIDENT), features, places


def test_what_is_written_is_what_those_programs_read(store, slide, tmp_path):
    assert export_store_h5(store, tmp_path / "x.h5") == len(store.coords)
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["features"].dtype == np.float32
        assert file["coords"].dtype == np.int64
        np.testing.assert_array_equal(file["features"][:], store.features)
        np.testing.assert_array_equal(file["coords"][:], store.coords)
        told = dict(file["coords"].attrs)
        made = dict(file["features"].attrs)
        text = json.dumps(file.attrs["napari_pathfm"])
    width, height = slide.dimensions
    assert (told["level0_width"], told["level0_height"]) == (width, height)
    assert (told["patch_size"], told["patch_size_level0"]) == (224, 224)
    assert (told["level0_magnification"], told["target_magnification"]) == (20, 20)
    assert (told["overlap"], told["name"], told["patch_level"]) == (0, "drawn", 0)
    assert (told["mpp"], told["level0_mpp"]) == (0.5, 0.5)
    assert (made["encoder"], made["pooling"]) == ("bundled", "cls")
    assert made["weights_revision"] == "bundled:0123456789ab"
    assert str(slide.path.parent) not in text  # folders stay where they are


def test_tiles_of_no_level_and_with_overlap(tmp_path):
    draw_slide(tmp_path / "fine.tif", width=1200, height=1000, mpp=0.25, levels=1)
    with open_slide(tmp_path / "fine.tif") as fine:
        grid = tile_grid(fine, stride=168)
        attrs = make_store(fine, tmp_path / "f.zarr").attrs | {"grid": grid.to_attrs()}
    from napari_pathfm.exports._h5 import coords_attrs

    told = coords_attrs(attrs)
    assert (told["patch_size_level0"], told["overlap"]) == (448, 56)
    assert (told["level0_magnification"], told["target_magnification"]) == (40, 20)
    assert "patch_level" not in told


def test_there_and_back_is_the_same_store(slide, tmp_path):
    store = make_store(slide, tmp_path / "s.zarr", failed=[1, 4])
    assert store.complete
    export_store_h5(store, tmp_path / "x.h5")
    again = import_h5(tmp_path / "x.h5", tmp_path / "a.zarr", slide=slide)
    np.testing.assert_array_equal(again.features, store.features)
    np.testing.assert_array_equal(again.coords, store.coords)
    np.testing.assert_array_equal(again.done, store.done)
    assert again.failed == store.failed
    check_comparable(store.attrs, again.attrs, ("s", "a"))
    for key, value in store.attrs.items():
        assert again.attrs[key] == value
    assert again.attrs["imported_from"] == "x.h5"
    import_h5(tmp_path / "x.h5", tmp_path / "a.zarr")  # nothing left to do


def test_an_unfinished_store_is_not_exported(store, tmp_path):
    store._group["done"][0] = False
    with pytest.raises(StoreError, match="unfinished"):
        export_store_h5(open_store(store.path), tmp_path / "x.h5")
    assert not (tmp_path / "x.h5").exists()


def test_trident_features_become_a_store(foreign, slide, tmp_path):
    file, features, places = foreign
    store = import_h5(file, tmp_path / "s.zarr", slide=slide, encoder="bundled")
    np.testing.assert_array_equal(store.coords, places)
    np.testing.assert_allclose(store.features, features, rtol=1e-3, atol=1e-4)
    assert store.complete
    assert (store.attrs["tile_px"], store.attrs["mpp"]) == (256, 0.5)
    assert (store.attrs["weights_revision"], store.attrs["pooling"]) == ("unknown",) * 2
    assert store.attrs["imported_attributes"]["coords"] == TRIDENT
    heatmap = similarity(store, like=[(300, 300)])
    assert heatmap.values.shape == (3, 4)
    assert heatmap.values[1, 1] == pytest.approx(1, abs=1e-3)


def test_unknown_origin_is_compared_with_nothing(foreign, slide, tmp_path):
    file, *_ = foreign
    encoder = SimpleNamespace(
        spec=encoder_spec("bundled"),
        revision="bundled:0",
        pooling="cls",
        feature_dim=192,
    )
    unknown = import_h5(file, tmp_path / "u.zarr", slide=slide, encoder="bundled")
    with pytest.raises(StoreError, match="does not say its weights"):
        check_comparable(unknown.attrs, unknown.attrs, ("u", "u"))
    with pytest.raises(StoreError, match="another weights"):
        embed_slide(slide, encoder, unknown.path, grid=unknown.grid)
    ours = make_store(slide, tmp_path / "o.zarr", weights_revision="hub@main:aa")
    other = make_store(slide, tmp_path / "p.zarr", weights_revision="local:bb")
    same = make_store(slide, tmp_path / "q.zarr", weights_revision="local:aa")
    check_comparable(ours.attrs, same.attrs, ("o", "q"))
    with pytest.raises(StoreError, match="another weights"):
        check_comparable(ours.attrs, other.attrs, ("o", "p"))


def test_clam_features_and_a_batch_of_one(slide, tmp_path):
    places = np.array([[0, 0], [448, 0], [448, 448]])
    level = {"patch_size": 224, "patch_level": 1, "downsample": [2.0, 2.0]}
    file = write_h5(tmp_path / "c.h5", np.ones((1, 3, 384), "f4"), places, **level)
    store = import_h5(file, tmp_path / "s.zarr", slide=slide, encoder="bundled")
    assert store.grid.tile_size == store.grid.stride == 448
    assert store.attrs["mpp"] == 1.0
    np.testing.assert_array_equal(store.coords, places)


CLAM = {"patch_size": 64, "patch_level": 0, "downsample": [1.0, 1.0]}


def pieces(*corners, step=64, shape=(2, 3)):
    """A lattice of tiles at each corner, as CLAM lays one over each contour."""
    cells = np.indices(shape).reshape(2, -1).T[:, ::-1]
    return np.concatenate([cells * step + corner for corner in corners])


@pytest.fixture
def clam(slide, tmp_path):
    """Two pieces whose lattices have nothing in common, the second's rows first."""
    places = pieces((517, 301), (50, 60))
    features = np.random.default_rng(2).normal(size=(len(places), 192))
    file = write_h5(tmp_path / "clam.h5", features.astype("f4"), places, **CLAM)
    return import_h5(file, tmp_path / "c.zarr", slide=slide, encoder="bundled"), places


def test_a_lattice_for_each_piece_is_kept_to_the_pixel(clam, slide, tmp_path):
    store, places = clam
    np.testing.assert_array_equal(store.coords, places)
    assert (store.grid.step, store.grid.tile_size) == (64, 64)
    export_store_h5(store, tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["coords"].attrs["overlap"] == 0
    again = import_h5(tmp_path / "x.h5", tmp_path / "a.zarr", slide=slide)
    np.testing.assert_array_equal(again.coords, places)
    np.testing.assert_array_equal(again.features, store.features)
    for row, (x, y) in enumerate(places.tolist()):
        assert store.grid.index_at(x + 32, y + 32) == row


def test_maps_of_pieces_show_whole_tiles(clam):
    store, places = clam
    x, y = (places[0] + 32).tolist()
    heatmap = similarity(store, like=[(x, y)])
    assert heatmap.at(x, y) == pytest.approx(1, abs=1e-3)
    # Twelve tiles, each all of its cells and no other's; a cell is a few pixels.
    seen = (~np.isnan(heatmap.values)).sum() * heatmap.stride**2
    assert seen == pytest.approx(12 * 64**2, rel=0.1)
    vectors = UnitVectors.of(store)
    scores = vectors.dot(vectors.rows(np.array([0]))[0])
    for tile, score in zip(places.tolist(), scores, strict=True):
        for corner in ((3, 3), (60, 3), (3, 60), (60, 60)):
            place = np.add(tile, corner)
            assert heatmap.at(*place) == pytest.approx(score, abs=1e-3)


def test_pieces_whose_lattices_fit_are_drawn_exactly(slide, tmp_path):
    places = pieces((0, 0), (320 + 16, 208))
    file = write_h5(tmp_path / "p.h5", np.ones((12, 192), "f4"), places, **CLAM)
    store = import_h5(file, tmp_path / "s.zarr", slide=slide, encoder="bundled")
    raster = store.grid.raster
    assert raster.stride == store.grid.stride == 16
    assert (raster.index >= 0).sum() == 12 * (64 // 16) ** 2


def test_a_step_that_is_not_said_is_seen(slide, tmp_path):
    """CLAM does not write its step; overlapping tiles tell it."""
    places = pieces((0, 0), (307, 205), step=32)
    file = write_h5(tmp_path / "p.h5", np.ones((12, 192), "f4"), places, **CLAM)
    store = import_h5(file, tmp_path / "s.zarr", slide=slide, encoder="bundled")
    assert (store.grid.step, store.grid.tile_size) == (32, 64)
    np.testing.assert_array_equal(store.coords, places)
    one = write_h5(tmp_path / "o.h5", np.ones((6, 192), "f4"), places[:6], **CLAM)
    store = import_h5(one, tmp_path / "o.zarr", slide=slide, encoder="bundled")
    assert (store.grid.step, store.grid.stride) == (None, 32)


def test_pieces_are_places_of_labels(clam):
    from napari_pathfm.heatmaps._validation import places_of

    store, _ = clam
    found = places_of(store.grid, np.arange(12))
    assert len(set(found[:6])) == len(set(found[6:])) == 1
    assert found[0] != found[6]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"encoder": None}, "which encoder"),
        ({"encoder": "h0-mini"}, "768 or 1536"),
        ({"pooling": "cls+mean"}, "bundled makes 384"),
        ({"slide": None}, "--slide"),
    ],
)
def test_what_the_file_does_not_say_must_be_said(
    foreign, slide, tmp_path, change, says
):
    file, *_ = foreign
    given = {"slide": slide, "encoder": "bundled", **change}
    with pytest.raises(StoreError, match=says):
        import_h5(file, tmp_path / "s.zarr", **given)
    with pytest.raises(UnknownModelError):
        import_h5(file, tmp_path / "s.zarr", slide=slide, encoder="resnet")
    assert not (tmp_path / "s.zarr").exists()


@pytest.mark.parametrize(
    ("features", "coords", "attrs", "says"),
    [
        (np.ones((2, 192)), [[0, 0], [256, 0.5]], TRIDENT, "whole pixels"),
        (np.ones((2, 192)), [[0, 0], [0, 0]], TRIDENT, "two tiles at one place"),
        (np.ones((2, 192)), [[0, 0], [0, 99840]], TRIDENT, "beyond drawn.tif"),
        (np.ones((2, 192)), [[0, 0], [256, 0]], {}, "how large its tiles"),
        (np.ones((3, 192)), [[0, 0], [256, 0]], TRIDENT, r"not \(N, D\)"),
        (np.full((1, 192), np.nan), [[0, 0]], TRIDENT, "for float16"),
        (np.full((1, 192), 1e6), [[0, 0]], TRIDENT, "for float16"),
        (
            np.ones((1, 192)),
            [[0, 0]],
            {**TRIDENT, "level0_width": 5, "level0_height": 5},
            "a slide of 5 x 5",
        ),
    ],
)
def test_files_that_do_not_fit_are_one_line(
    slide, tmp_path, features, coords, attrs, says
):
    file = write_h5(tmp_path / "bad.h5", features, np.array(coords), **attrs)
    with pytest.raises(StoreError, match=says):
        import_h5(file, tmp_path / "s.zarr", slide=slide, encoder="bundled")
    assert not (tmp_path / "s.zarr").exists()


def test_what_is_no_such_file(tmp_path, slide):
    (tmp_path / "text.h5").write_text("x")
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    for name, says in (("text.h5", "HDF5"), ("empty.h5", "features")):
        with pytest.raises(StoreError, match=says):
            import_h5(tmp_path / name, tmp_path / "s.zarr", slide=slide)


def test_own_files_are_not_said_otherwise(store, tmp_path):
    export_store_h5(store, tmp_path / "x.h5")
    with pytest.raises(StoreError, match="leave --pooling out"):
        import_h5(tmp_path / "x.h5", tmp_path / "a.zarr", pooling="cls+mean")
    draw_slide(tmp_path / "other.tif", width=600, height=500, levels=1)
    with (
        open_slide(tmp_path / "other.tif") as other,
        pytest.raises(StoreError, match=r"belongs to drawn\.tif"),
    ):
        import_h5(tmp_path / "x.h5", tmp_path / "a.zarr", slide=other)


def test_without_h5py_it_says_what_to_install(store, tmp_path, monkeypatch):
    from napari_pathfm.exports import _h5

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(_h5, "import_module", missing)
    with pytest.raises(PathfmError, match=r"napari-pathfm\[h5\]"):
        export_store_h5(store, tmp_path / "x.h5")


def test_from_the_shell(store, slide, foreign, tmp_path, capsys):
    out = str(tmp_path / "x.h5")
    assert main(["export", str(store.path), "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tiles"] == len(store.coords)
    assert main(["import", out, "--out", str(tmp_path)]) == 0
    assert "unknown" not in capsys.readouterr().out
    file, *_ = foreign
    arguments = [
        "import",
        str(file),
        "--slide",
        str(slide.path),
        "--out",
        str(tmp_path),
    ]
    assert main(arguments) == 1
    assert "--encoder" in capsys.readouterr().err
    assert main([*arguments, "--encoder", "bundled", "--pooling", "cls"]) == 0
    assert "revision unknown" in capsys.readouterr().out
    assert open_store(tmp_path / "drawn.bundled.zarr").attrs["pooling"] == "cls"
