"""AnnData files: AnnData's form on disk, with what makes vectors comparable."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_pathfm.cli import main
from napari_pathfm.embeddings import check_comparable, import_features, slide_attrs
from napari_pathfm.errors import OutputError, StoreError
from napari_pathfm.exports import export_store_anndata, import_anndata
from napari_pathfm.heatmaps import similarity
from napari_pathfm.slides import tile_grid

h5py = pytest.importorskip("h5py")


@pytest.fixture
def store(slide, tmp_path):
    return made(slide, tmp_path / "s.zarr")


def made(slide, path, lost=0):
    """A store whose last tiles were not read."""
    grid = tile_grid(slide)
    rows = np.arange(len(grid) - lost)
    features = np.random.default_rng(0).normal(size=(len(rows), 192))
    attrs = {
        **slide_attrs(slide, grid),
        "slide_path": str(slide.path),
        "encoder": "bundled",
        "encoder_spec": None,
        "weights_revision": "bundled:0123456789ab",
        "pooling": "cls",
        "icc_applied": False,
        "patches": False,
    }
    return import_features(path, attrs, grid, rows, features.astype(np.float32))


def test_features_and_places_are_the_stores(store, tmp_path):
    path = tmp_path / "s.h5ad"
    written = export_store_anndata(store, path)
    assert written == len(store.coords)
    half, mpp = store.grid.tile_size / 2, store.attrs["slide_mpp"]
    with h5py.File(path) as file:
        assert np.array_equal(file["X"][:], store.features.astype(np.float32))
        assert np.array_equal(file["obsm/spatial"][:], store.coords + half)
        assert np.array_equal(file["obs/x"][:], store.coords[:, 0])
        centres = (store.coords + half) * mpp
        assert np.allclose(file["obs/x_um"][:], centres[:, 0])
        assert np.allclose(file["obs/y_um"][:], centres[:, 1])
        assert len(set(file["obs/_index"][:])) == written


def test_every_element_says_what_it_is(store, tmp_path):
    """By AnnData's own description of its files, version 0.1.0."""
    path = tmp_path / "s.h5ad"
    export_store_anndata(store, path)
    kinds = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, one: kinds.update({name: dict(one.attrs)}))
        assert file.attrs["encoding-type"] == "anndata"
        order = list(file["obs"].attrs["column-order"])
        assert set(order) == set(file["obs"]) - {"_index"}
    assert all(
        {"encoding-type", "encoding-version"} <= kinds[name].keys() for name in kinds
    )
    assert {name: kinds[name]["encoding-type"] for name in ("X", "obs", "uns")} == {
        "X": "array",
        "obs": "dataframe",
        "uns": "dict",
    }


def test_what_makes_vectors_comparable_is_there_and_folders_are_not(store, tmp_path):
    path = tmp_path / "s.h5ad"
    export_store_anndata(store, path)
    with h5py.File(path) as file:
        kept = {name: one[()] for name, one in file["uns/napari_pathfm"].items()}
    assert "slide_path" not in kept
    words = {k: v.decode() if isinstance(v, bytes) else v for k, v in kept.items()}
    words["encoder_spec"] = json.loads(words["encoder_spec"])
    check_comparable(words, store.attrs, ("file", "store"))
    assert json.loads(words["grid"]) == store.attrs["grid"]


def test_heatmaps_become_columns_and_classes_categories(store, tmp_path):
    x, y = (store.coords[0] + store.grid.tile_size / 2).tolist()
    first = similarity(store, like=[(x, y)])
    x, y = (store.coords[-1] + store.grid.tile_size / 2).tolist()
    second = similarity(store, like=[(x, y)])
    path = tmp_path / "s.h5ad"
    export_store_anndata(store, path, [first, second])
    with h5py.File(path) as file:
        columns = list(file["obs"].attrs["column-order"])
        assert np.isclose(file[f"obs/{first.name}"][0], 1, atol=1e-3)
        nearest = file["obs/nearest class"]
        assert nearest.attrs["encoding-type"] == "categorical"
        assert nearest["codes"].shape == (len(store.coords),)
    assert {"top similarity", "x_um"} <= set(columns)


def test_unfinished_stores_and_wrong_names_are_refused(slide, store, tmp_path):
    with pytest.raises(StoreError, match="unfinished"):
        export_store_anndata(
            made(slide, tmp_path / "u.zarr", lost=1), tmp_path / "a.h5ad"
        )
    with pytest.raises(OutputError, match="h5ad"):
        export_store_anndata(store, tmp_path / "a.zarr")
    assert not (tmp_path / "a.h5ad").exists()


def test_from_the_shell(store, tmp_path, capsys):
    path = tmp_path / "s.h5ad"
    assert main(["export", str(store.path), "--to", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tiles"] == len(store.coords)
    assert main(["import", str(path), "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tiles"] == len(store.coords)


def test_the_store_comes_back(slide, store, tmp_path):
    path = tmp_path / "s.h5ad"
    export_store_anndata(store, path)
    back = import_anndata(path, tmp_path / "back.zarr", slide=slide)
    assert np.array_equal(back.features, store.features)
    assert np.array_equal(back.coords, store.coords)
    assert back.complete
    check_comparable(back.attrs, store.attrs, ("back", "store"))


@pytest.mark.parametrize("change", ["scaled", "sorted"])
def test_changed_vectors_do_not_become_a_store(store, tmp_path, change):
    path = tmp_path / "s.h5ad"
    export_store_anndata(store, path)
    with h5py.File(path, "r+") as file:
        x = file["X"][:]
        file["X"][:] = x * 2 if change == "scaled" else x[::-1]
    with pytest.raises(StoreError, match="not what was exported"):
        import_anndata(path, tmp_path / "back.zarr")
    assert not (tmp_path / "back.zarr").exists()


def test_files_of_others_are_refused(store, tmp_path, capsys):
    path = tmp_path / "s.h5ad"
    export_store_anndata(store, path)
    with h5py.File(path, "r+") as file:
        del file["uns/napari_pathfm"]
    assert main(["import", str(path), "--out", str(tmp_path)]) == 1
    assert "does not say what made its vectors" in capsys.readouterr().err


def test_anndata_reads_it(store, tmp_path):
    anndata = pytest.importorskip("anndata")
    path = tmp_path / "s.h5ad"
    export_store_anndata(store, path)
    data = anndata.read_h5ad(path)
    assert data.shape == store.features.shape
    assert data.obsm["spatial"].shape == (data.n_obs, 2)
    assert data.uns["napari_pathfm"]["encoder"] == "bundled"
