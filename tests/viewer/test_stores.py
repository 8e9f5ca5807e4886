"""Embeddings made elsewhere answer in the window, as if they had been made there."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from fakes import FakeEncoder, FakeModels
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog

from conftest import LANDMARK, TILE
from napari_pathfm import embed_slide, open_slide, open_store
from napari_pathfm.errors import StoreError
from napari_pathfm.slides import tile_grid
from napari_pathfm.viewer._metadata import entry, layers_of
from napari_pathfm.viewer._reader import get_reader
from napari_pathfm.viewer.session import Session

ON_LANDMARK = (LANDMARK[0] + 100.0, LANDMARK[1] + 90.0)


@pytest.fixture
def elsewhere(tmp_path, drawn_path):
    """A store as the shell makes it, in steps of half a tile."""
    path = tmp_path / "cluster" / "drawn.bundled.zarr"
    with open_slide(drawn_path) as slide:
        grid = tile_grid(slide, px=TILE, mpp=0.5, stride=TILE // 2)
        embed_slide(slide, FakeEncoder(), path, grid=grid)
    return path


def ask(session):
    session.prompt(session.current.world(*ON_LANDMARK))
    return session.similarity.layer


def test_a_click_is_answered_from_it_and_nothing_is_embedded(session, elsewhere):
    session.stores.use(elsewhere)
    assert session.similarity.store_path == elsewhere
    assert session.similarity.overlap == 2
    layer = ask(session)
    assert layer is not None
    assert session.models.encoder("bundled").batches == 0
    assert not list(session.cache.rglob("*.zarr"))
    store = open_store(elsewhere)
    assert np.isfinite(layer.data).sum() == len(store.coords)
    # One cell is half a tile of 112 um.
    assert layer.scale[0] == pytest.approx(TILE / 2 * 0.5)


def test_its_slide_is_opened_with_it(tmp_path, elsewhere, models):
    viewer = ViewerModel()
    session = Session(viewer, models=models, cache=tmp_path / "stores")
    session.stores.use(elsewhere)
    assert [layer.name for layer in viewer.layers] == ["drawn"]
    assert session.similarity.store_path == elsewhere
    session.stores.use(elsewhere)
    assert len(viewer.layers) == 1
    session.close()


def test_a_panel_that_opens_later_finds_it(tmp_path, elsewhere, drawn_path, models):
    viewer = ViewerModel()
    first = Session(viewer, models=models, cache=tmp_path / "a")
    first.stores.use(elsewhere)
    first.close()
    second = Session(viewer, models=models, cache=tmp_path / "b")
    assert second.similarity.store_path == elsewhere
    second.close()


def test_a_session_file_remembers_it(tmp_path, elsewhere, session, models):
    session.stores.use(elsewhere)
    file = tmp_path / "work.pathfm.json"
    session.save(file)
    other = Session(ViewerModel(), models=models, cache=tmp_path / "other")
    other.restore(file)
    assert other.similarity.store_path == elsewhere
    other.close()


def test_what_cannot_be_used_is_said_in_a_line(
    tmp_path, elsewhere, session, unknown_mpp_path, drawn_path
):
    with pytest.raises(StoreError, match="store"):
        session.stores.use(tmp_path)
    # Of a slide that is nowhere any more.
    orphan = tmp_path / "orphan.tif"
    shutil.copy(unknown_mpp_path, orphan)
    with open_slide(orphan, mpp=0.25) as slide:
        lost = embed_slide(slide, FakeEncoder(), tmp_path / "lost.zarr").path
    orphan.unlink()
    before = list(session.viewer.layers)
    with pytest.raises(StoreError, match=r"orphan\.tif, which is not at"):
        session.stores.use(lost)
    assert list(session.viewer.layers) == before
    # Made at another pixel size than the slide is open with.
    with open_slide(drawn_path, mpp=0.25) as slide:
        other = embed_slide(slide, FakeEncoder(), tmp_path / "other.zarr").path
    session.stores.use(other)
    assert "0.25 µm/px" in session.message
    assert session.similarity.store_path != other
    assert "store" not in entry(session.current.layer)


def test_half_a_store_is_not_taken(tmp_path, session, drawn_path):
    class Stops(FakeEncoder):
        def encode(self, tiles, *, patches=True):
            raise KeyboardInterrupt

    path = tmp_path / "half.zarr"
    with open_slide(drawn_path) as slide, pytest.raises(KeyboardInterrupt):
        embed_slide(slide, Stops(), path)
    with pytest.raises(StoreError, match="is not finished"):
        session.stores.use(path)


def test_an_encoder_nobody_knows_here(tmp_path, session, drawn_path):
    class Stranger(FakeEncoder):
        def __init__(self):
            super().__init__()
            from dataclasses import replace

            self.spec = replace(self.spec, name="stranger")

    with open_slide(drawn_path) as slide:
        path = embed_slide(slide, Stranger(), tmp_path / "s.zarr").path
    session.stores.use(path)
    assert "made by stranger, which is not in the catalogue" in session.message


def test_dropped_on_the_canvas(window, elsewhere, qtbot):
    reader = get_reader(str(elsewhere))
    assert reader(str(elsewhere)) == [(None,)]
    session = window.panel.session
    qtbot.waitUntil(lambda: session.similarity.store_path == elsewhere)
    assert window.panel.similarity.store.name.text() == elsewhere.name
    assert len(layers_of(window.viewer.layers, "slide")) == 1


def test_the_button(window, elsewhere, monkeypatch, qtbot):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(elsewhere))
    row = window.panel.similarity.store
    row.button.click()
    qtbot.waitUntil(lambda: window.panel.session.similarity.store_path == elsewhere)
    assert row.name.text() == elsewhere.name


def test_fake_models_are_those_of_the_catalogue():
    """Else the tests above would prove little."""
    assert "bundled" in {c.name for c in FakeModels().encoder_choices()}
