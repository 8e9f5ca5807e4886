"""A slide-level head on the current slide: what it says, and where it looks."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from conftest import TILE
from napari_pathfm.embeddings import open_store
from napari_pathfm.evaluation import Head, load_head, save_head
from napari_pathfm.evaluation._abmil import Abmil
from napari_pathfm.heatmaps import attention
from napari_pathfm.viewer._metadata import entry, layers_of


@pytest.fixture
def head_file(models, tmp_path):
    spec = models.fake_encoder.spec
    told = {
        "encoder": "bundled",
        "weights_revision": models.fake_encoder.revision,
        "pooling": "cls",
        "mpp": spec.mpp,
        "tile_px": spec.tile_px,
    }
    networks = tuple(Abmil(spec.dim, 2).eval() for _ in range(3))

    def write(**changes):
        file = tmp_path / "head.safetensors"
        about = {"features": told | changes, "slides": 8}
        save_head(Head(networks, ("benign", "tumour"), about), file)
        return file

    return write


def test_its_maps_are_those_of_the_store(session, head_file, tmp_path):
    file = head_file()
    session.head.use(file)
    maps = layers_of(session.viewer.layers, "map")
    assert [layer.name for layer in maps] == [
        "Head: attention",
        "Head: score of benign",
        "Head: score of tumour",
    ]
    assert [layer.visible for layer in maps] == [True, False, False]
    (path,) = (tmp_path / "stores").glob("embeddings/*/*.zarr")
    wanted = attention(open_store(path), load_head(file))
    for layer, heatmap in zip(maps, wanted, strict=True):
        np.testing.assert_array_equal(layer.data, heatmap.values)
        assert entry(layer)["fingerprint"] == session.current.fingerprint
    assert session.head.prediction == wanted[0].provenance["prediction"]
    corner = session.current.level0(maps[0].data_to_world((-0.5, -0.5)))
    np.testing.assert_allclose(np.array(corner) % TILE, 0, atol=1e-6)
    # Used again, the maps take each other's place.
    session.head.use(file)
    assert len(layers_of(session.viewer.layers, "map")) == 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"encoder": "absent"}, "not in the catalogue"),
        ({"tile_px": 256}, "tile_px 224, and the head learned from 256"),
    ],
)
def test_what_does_not_fit_is_one_line(session, head_file, changes, says):
    from napari.utils.notifications import notification_manager

    notification_manager.records.clear()
    session.head.use(head_file(**changes))
    assert says in session.message
    assert "\n" not in session.message
    assert not layers_of(session.viewer.layers, "map")


def test_the_button_says_what_it_found(window, head_file, monkeypatch):
    row = window.panel.classes.head
    assert not row.text.isVisibleTo(window.panel)
    file = str(head_file())
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (file, ""))
    window.press(row.button)
    window.until(lambda: bool(window.session.head.prediction))
    chance = window.session.head.prediction["tumour"]
    assert f"tumour {chance:.0%} (3 networks)" in row.text.text()
    assert row.text.isVisibleTo(window.panel)
