"""wsidata's folders: its form on disk, there and back, nothing guessed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
import zarr

from napari_pathfm.cli import main
from napari_pathfm.embeddings import check_comparable, import_features, slide_attrs
from napari_pathfm.errors import OutputError, PathfmError, StoreError
from napari_pathfm.exports import (
    export_store_wsidata,
    import_wsidata,
    is_wsidata,
    read_wsidata_shapes,
)
from napari_pathfm.heatmaps import similarity
from napari_pathfm.slides import draw_slide, open_slide, tile_grid

parquet = pytest.importorskip("pyarrow.parquet")
arrow = pytest.importorskip("pyarrow")


def made(slide, path, lost=(), **options):
    """A store in which some tiles could not be read."""
    grid = tile_grid(slide, **options)
    rows = np.setdiff1d(np.arange(len(grid)), lost)
    features = np.random.default_rng(0).normal(size=(len(rows), 192))
    attrs = {
        **slide_attrs(slide, grid),
        "encoder": "bundled",
        "encoder_spec": None,
        "weights_revision": "bundled:0123456789ab",
        "pooling": "cls",
        "icc_applied": False,
        "patches": False,
        "failed": [
            {"row": row, "x": x, "y": y, "reason": "damaged"}
            for row, (x, y) in zip(lost, grid.coords[list(lost)].tolist(), strict=True)
        ],
    }
    return import_features(path, attrs, grid, rows, features.astype(np.float32))


@pytest.fixture
def store(slide, tmp_path):
    return made(slide, tmp_path / "s.zarr")


@pytest.fixture
def folder(store, tmp_path):
    path = tmp_path / "drawn.zarr"
    export_store_wsidata(store, path)
    return path


#: What LazySlide 0.13 writes of a slide tiled at twice its pixel size.
SPEC = {
    "height": 224,
    "width": 224,
    "stride_height": 224,
    "stride_width": 224,
    "mpp": 1.0,
    "ops_level": 0,
    "ops_downsample": 2.0,
    "base_level": 0,
    "base_downsample": 2.0,
    "tissue_name": "tissues",
}


def lazyslide(path, slide, xy, features, *, spec=SPEC, side=448, names=("my_tiles",)):
    """A folder with what `tile_tissues` and `feature_extraction` leave in one."""
    root = zarr.open_group(path, mode="w", zarr_format=3)
    width, height = slide.dimensions
    root.attrs["slide_properties"] = {"shape": [height, width], "mpp": slide.mpp}
    root.attrs["tile_spec"] = {"tiles": spec}
    shapes = root.create_group("shapes/tiles")
    shapes.attrs["coordinateTransformations"] = [{"type": "identity"}]
    x, y = np.asarray(xy).T
    columns = {
        "tile_id": np.arange(len(xy)),
        "tissue_id": np.zeros(len(xy), int),
        "geometry": shapely.to_wkb(shapely.box(x, y, x + side, y + side)),
    }
    parquet.write_table(arrow.table(columns), path / "shapes/tiles/shapes.parquet")
    for name in names:
        table = root.create_group(f"tables/{name}")
        table.attrs.update({"region": "tiles", "instance_key": "tile_id"})
        # A table may list its tiles in an order of its own.
        order = np.arange(len(xy))[::-1]
        table.create_array("X", data=np.asarray(features, np.float32)[order])
        table.create_group("obs").create_array("tile_id", data=order)
        table.create_group("uns")
    return path


PLACES = [(51, 65), (499, 65), (51, 513)]
VECTORS = np.random.default_rng(1).normal(size=(3, 192)).astype(np.float32)


def test_tiles_are_boxes_where_the_stores_are(store, folder):
    table = parquet.read_table(folder / "shapes/tiles/shapes.parquet")
    geo = json.loads(table.schema.metadata[b"geo"])
    assert geo["columns"]["geometry"]["encoding"] == "WKB"
    bounds = shapely.bounds(shapely.from_wkb(table["geometry"].to_numpy()))
    np.testing.assert_array_equal(bounds[:, :2], store.coords)
    np.testing.assert_array_equal(bounds[:, 2:], store.coords + store.grid.tile_size)
    np.testing.assert_array_equal(table["x"].to_numpy(), store.coords[:, 0])
    assert table["tile_id"].to_pylist() == list(range(len(store.coords)))


def test_the_attributes_are_wsidatas(slide, store, folder):
    attrs = zarr.open_group(folder, mode="r").attrs
    width, height = slide.dimensions
    assert attrs["slide_properties"] == {"shape": [height, width], "mpp": slide.mpp}
    spec = attrs["tile_spec"]["tiles"]
    assert spec.keys() == SPEC.keys()
    assert (spec["height"], spec["stride_width"], spec["mpp"]) == (224, 224, 0.5)
    assert spec["base_downsample"] == store.grid.tile_size / 224


@pytest.mark.parametrize("mpp", [0.7, 0.9, 1.1, 1.3])
def test_wsidata_cuts_the_same_side(tmp_path, mpp):
    """It takes the whole part of a product of floats."""
    draw_slide(tmp_path / "d.tif", width=900, height=900, mpp=0.5, levels=1)
    with open_slide(tmp_path / "d.tif") as drawn:
        store = made(drawn, tmp_path / "s.zarr", mpp=mpp, tissue=False)
    export_store_wsidata(store, tmp_path / "w.zarr")
    spec = zarr.open_group(tmp_path / "w.zarr", mode="r").attrs["tile_spec"]["tiles"]
    assert int(spec["width"] * spec["base_downsample"]) == int(store.grid.tile_size)


def test_every_element_of_the_table_says_what_it_is(store, folder):
    table = zarr.open_group(folder, mode="r")["tables/bundled_tiles"]
    assert table.attrs["region"] == "tiles"
    kinds = {name: dict(one.attrs) for name, one in table.members(max_depth=None)}
    for kind in kinds.values():
        assert {"encoding-type", "encoding-version"} <= kind.keys()
    assert kinds["obs/library_id"]["encoding-type"] == "categorical"
    assert list(table["obs/library_id/categories"][:]) == ["tiles"]
    np.testing.assert_array_equal(table["X"][:], store.features)
    own = table["uns/napari_pathfm"]
    assert str(own["encoder"][()]) == "bundled"
    assert "slide_path" not in own


def test_heatmaps_become_columns(store, tmp_path):
    x, y = (store.coords[0] + store.grid.tile_size / 2).tolist()
    heatmap = similarity(store, like=[(x, y)])
    export_store_wsidata(store, tmp_path / "w.zarr", [heatmap])
    table = parquet.read_table(tmp_path / "w.zarr/shapes/tiles/shapes.parquet")
    assert table[heatmap.name][0].as_py() == pytest.approx(1, abs=1e-3)


def test_the_store_comes_back(slide, tmp_path):
    store = made(slide, tmp_path / "s.zarr", lost=[1, 3])
    export_store_wsidata(store, tmp_path / "w.zarr")
    back = import_wsidata(tmp_path / "w.zarr", tmp_path / "b.zarr", slide=slide)
    np.testing.assert_array_equal(back.features, store.features)
    np.testing.assert_array_equal(back.coords, store.coords)
    assert back.failed == store.failed
    check_comparable(back.attrs, store.attrs, ("back", "store"))
    assert {key: back.attrs[key] for key in store.attrs} == store.attrs


def test_changed_vectors_do_not_become_a_store(folder, tmp_path):
    x = zarr.open_group(folder)["tables/bundled_tiles/X"]
    x[:] = x[:] * 2
    with pytest.raises(StoreError, match="not what was exported"):
        import_wsidata(folder, tmp_path / "b.zarr")
    assert not (tmp_path / "b.zarr").exists()


def test_features_of_lazyslide_become_a_store(slide, tmp_path):
    path = lazyslide(tmp_path / "l.zarr", slide, PLACES, VECTORS)
    store = import_wsidata(path, tmp_path / "b.zarr", slide=slide, encoder="bundled")
    np.testing.assert_array_equal(store.coords, PLACES[::-1])
    np.testing.assert_allclose(store.features, VECTORS[::-1], rtol=1e-3, atol=1e-4)
    assert (store.attrs["mpp"], store.attrs["tile_px"]) == (1.0, 224)
    assert (store.attrs["weights_revision"], store.attrs["pooling"]) == ("unknown",) * 2
    assert store.attrs["imported_attributes"]["table"] == "my_tiles"
    with pytest.raises(StoreError, match="does not say its weights"):
        check_comparable(store.attrs, store.attrs, ("a", "b"))


def test_the_size_that_was_read_counts_where_lazyslide_ignored_the_asked(
    slide, tmp_path
):
    """Of a slide without a pixel size it reads level 0, whatever mpp was asked."""
    spec = SPEC | {"mpp": 0.5}
    path = lazyslide(tmp_path / "l.zarr", slide, PLACES, VECTORS, spec=spec)
    store = import_wsidata(path, tmp_path / "b.zarr", slide=slide, encoder="bundled")
    assert store.attrs["mpp"] == 1.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"encoder": None}, "which encoder"),
        ({"encoder": "h0-mini"}, "768 or 1536"),
        ({"slide": None}, "--slide"),
        ({"table": "other_tiles"}, "not 'other_tiles'"),
    ],
)
def test_what_the_folder_does_not_say_must_be_said(slide, tmp_path, change, says):
    path = lazyslide(tmp_path / "l.zarr", slide, PLACES, VECTORS)
    given = {"slide": slide, "encoder": "bundled", **change}
    with pytest.raises(StoreError, match=says):
        import_wsidata(path, tmp_path / "b.zarr", **given)
    assert not (tmp_path / "b.zarr").exists()


def test_of_several_tables_one_is_named(slide, tmp_path):
    names = ("my_tiles", "uni_tiles")
    path = lazyslide(tmp_path / "l.zarr", slide, PLACES, VECTORS, names=names)
    given = {"slide": slide, "encoder": "bundled"}
    with pytest.raises(StoreError, match="my_tiles, uni_tiles: say which with --table"):
        import_wsidata(path, tmp_path / "b.zarr", **given)
    import_wsidata(path, tmp_path / "b.zarr", table="uni_tiles", **given)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"xy": [(51.5, 65)]}, "whole pixels"),
        ({"xy": [(0, 65), (0, 99999)]}, "beyond drawn.tif"),
        ({"side": 300}, "not of the size"),
        ({"spec": SPEC | {"stride_height": 100}}, "not of the size"),
        ({"spec": {"width": 224}}, "tile_spec is missing or damaged"),
        ({"features": np.full((3, 192), np.nan)}, "too large for float16"),
        ({"features": np.ones(3)}, "no dense features"),
    ],
)
def test_folders_that_do_not_fit_are_one_line(slide, tmp_path, change, says):
    given = {"xy": PLACES, "features": VECTORS} | change
    if len(given["features"]) > len(given["xy"]):
        given["features"] = given["features"][: len(given["xy"])]
    path = lazyslide(tmp_path / "l.zarr", slide, **given)
    with pytest.raises(StoreError, match=says):
        import_wsidata(path, tmp_path / "b.zarr", slide=slide, encoder="bundled")
    assert not (tmp_path / "b.zarr").exists()


def test_another_slide_or_pixel_size_is_refused(slide, tmp_path):
    path = lazyslide(tmp_path / "l.zarr", slide, PLACES, VECTORS)
    root = zarr.open_group(path)
    root.attrs["slide_properties"] = {"shape": [5, 7], "mpp": slide.mpp}
    given = {"slide": slide, "encoder": "bundled"}
    with pytest.raises(StoreError, match="a slide of 7 x 5 px"):
        import_wsidata(path, tmp_path / "b.zarr", **given)
    width, height = slide.dimensions
    root.attrs["slide_properties"] = {"shape": [height, width], "mpp": 0.25}
    with pytest.raises(StoreError, match=r"0\.25 um per pixel"):
        import_wsidata(path, tmp_path / "b.zarr", **given)


def test_damage_is_one_line(slide, folder, tmp_path):
    file = folder / "shapes/tiles/shapes.parquet"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(StoreError, match="damaged"):
        import_wsidata(folder, tmp_path / "b.zarr")
    with pytest.raises(StoreError, match="no SpatialData folder"):
        import_wsidata(made(slide, tmp_path / "o.zarr").path, tmp_path / "b.zarr")
    with pytest.raises(StoreError, match="does not exist"):
        import_wsidata(tmp_path / "none.zarr", tmp_path / "b.zarr")


def test_tiles_that_were_made_anew_are_found_out(folder, tmp_path):
    obs = zarr.open_group(folder)["tables/bundled_tiles/obs"]
    obs["tile_id"][0] = 999
    with pytest.raises(StoreError, match="made anew"):
        import_wsidata(folder, tmp_path / "b.zarr")


def test_a_folder_that_exists_and_an_unfinished_store_are_refused(
    slide, store, folder, tmp_path
):
    before = sorted(folder.rglob("*"))
    with pytest.raises(OutputError, match="choose another name"):
        export_store_wsidata(store, folder)
    assert sorted(folder.rglob("*")) == before
    store._group["done"][0] = False
    with pytest.raises(StoreError, match="unfinished"):
        export_store_wsidata(store, tmp_path / "u.zarr")
    assert not (tmp_path / "u.zarr").exists()


def test_without_pyarrow_it_says_what_to_install(store, tmp_path, monkeypatch):
    from napari_pathfm.exports import _wsidata

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(_wsidata, "import_module", missing)
    with pytest.raises(PathfmError, match=r"napari-pathfm\[tables\]"):
        export_store_wsidata(store, tmp_path / "w.zarr")
    assert sorted(tmp_path.glob("*.zarr")) == [store.path]


def test_from_the_shell(slide, store, tmp_path, capsys):
    out, stores = str(tmp_path / "drawn.zarr"), str(tmp_path / "stores")
    assert main(["export", str(store.path), "--to", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tiles"] == len(store.coords)
    assert main(["import", out, "--out", stores]) == 0
    assert "unknown" not in capsys.readouterr().out
    path = lazyslide(tmp_path / "l.zarr", slide, PLACES, VECTORS)
    arguments = ["import", str(path), "--slide", str(slide.path), "--out", stores]
    assert main(arguments) == 1
    assert "--encoder" in capsys.readouterr().err
    assert main([*arguments, "--encoder", "bundled", "--table", "my_tiles"]) == 0
    assert "revision and pooling unknown" in capsys.readouterr().out


def test_shapes_become_objects(slide, tmp_path):
    path = lazyslide(tmp_path / "l.zarr", slide, PLACES, VECTORS)
    group = zarr.open_group(path)["shapes"].create_group("tissues")
    group.attrs["coordinateTransformations"] = [{"type": "identity"}]
    outline = shapely.box(40, 50, 1000, 970) - shapely.box(100, 100, 200, 200)
    columns = {"tissue_id": [7], "note": ["fat"], "geometry": [outline.wkb]}
    parquet.write_table(arrow.table(columns), path / "shapes/tissues/shapes.parquet")
    objects = read_wsidata_shapes(path)
    kinds = [(one.classification, one.object_type) for one in objects]
    assert sorted(kinds) == [("tiles", "tile")] * 3 + [("tissues", "annotation")]
    (tissue,) = (one for one in objects if one.classification == "tissues")
    assert tissue.geometry.equals(outline)
    assert tissue.measurements == {"tissue_id": 7}
    first = next(one for one in objects if one.classification == "tiles")
    assert first.geometry.bounds == (51, 65, 51 + 448, 65 + 448)


def test_shapes_that_are_moved_or_damaged_are_refused(folder, store):
    assert is_wsidata(folder)
    assert not is_wsidata(store.path)
    assert len(read_wsidata_shapes(folder)) == len(store.coords)
    group = zarr.open_group(folder)["shapes/tiles"]
    group.attrs["coordinateTransformations"] = [{"type": "scale", "scale": [2, 2]}]
    with pytest.raises(StoreError, match=r"moved by a transformation \(scale\)"):
        read_wsidata_shapes(folder)
    with pytest.raises(StoreError, match=r"moved by a transformation \(scale\)"):
        import_wsidata(folder, folder.with_name("b.zarr"))
    (folder / "shapes/tiles/shapes.parquet").unlink()
    group.attrs["coordinateTransformations"] = []
    with pytest.raises(StoreError, match="damaged"):
        read_wsidata_shapes(folder)


def test_the_libraries_read_it(slide, store, folder):
    wsidata = pytest.importorskip("wsidata")
    wsi = wsidata.open_wsi(slide.path, store=str(folder))
    assert wsi.tile_spec("tiles").base_width == store.grid.tile_size
    assert wsi.tables["bundled_tiles"].shape == store.features.shape
