"""Patches of what is in view, in the viewer: filled in, re-aimed, in their place."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from colours import PatchColours
from fakes import FakeModels

from conftest import LANDMARK, TILE, draw
from napari_pathfm.embeddings import embed_slide
from napari_pathfm.exports import read_heatmaps
from napari_pathfm.viewer._metadata import entry, layers_of
from napari_pathfm.viewer._writers import write_ome_tiff
from napari_pathfm.viewer.session import _fine, _fine_work

ON_LANDMARK = (LANDMARK[0] + 100, LANDMARK[1] + 90)
ON_PINK = (4.5 * TILE, 2.5 * TILE)


class Gated(PatchColours):
    """Encodes a batch when it is let to, and notes which thread did."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.threads: set[int] = set()
        self.begun = 0

    def encode(self, tiles, *, patches=True):
        self.threads.add(threading.get_ident())
        self.begun += 1
        if patches:
            self.gate.wait(20)
        return super().encode(tiles, patches=patches)


class PatchModels(FakeModels):
    """An encoder that sees colours patch by patch."""

    def __init__(self) -> None:
        super().__init__()
        self.fake_encoder = Gated()


@pytest.fixture
def models():
    return PatchModels()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(_fine, "_STILL_S", 0.0)


def look(session, x, y, zoom):
    state = session.current
    session.viewer.scene.camera.center = (0, *state.world(x, y))
    session.viewer.scene.camera.zoom = zoom


def click(session, place, role="like"):
    session.prompt(session.current.world(*place), role)


def at(session, x, y):
    """The value that the layer shows at a level-0 place, as hovering asks for it."""
    layer = session.fine.layer
    value = layer.get_value(session.current.world(x, y), world=True)
    return np.nan if value is None else float(value)


def cached(session):
    return len(session.fine._work._cache)


def test_patches_in_view_are_compared_in_their_place(session):
    look(session, *ON_LANDMARK, 2)
    click(session, ON_LANDMARK)
    assert session.fine.layer is None
    tiles = session.similarity.layer
    session.fine.on = True
    layer = session.fine.layer
    assert layer.name == "Similarity, 7 um"
    assert session.viewer.layers.index(layer) > session.viewer.layers.index(tiles)
    assert entry(layer)["kind"] == "fine"
    assert entry(layer)["fingerprint"] == session.current.fingerprint
    assert (layer.colormap.name, layer.opacity) == (tiles.colormap.name, tiles.opacity)
    assert (layer.blending, layer.units) == (tiles.blending, tiles.units)
    # Both edges of the landmark, a pixel to either side; two levels in the file.
    x, y = LANDMARK
    for inside, outside in (
        ((x + 1, y + 50), (x - 1, y + 50)),
        ((x + TILE - 1, y + 50), (x + TILE + 1, y + 50)),
        ((x + 50, y + 1), (x + 50, y - 1)),
        ((x + 50, y + TILE - 1), (x + 50, y + TILE + 1)),
    ):
        assert at(session, *inside) == pytest.approx(1, abs=2e-3)
        assert at(session, *outside) < 0.5


def test_the_tile_map_makes_room_and_comes_back(session):
    look(session, *ON_LANDMARK, 2)
    session.fine.on = True
    click(session, ON_LANDMARK)
    tiles = session.similarity.layer
    assert session.fine.layer.visible
    assert not tiles.visible
    # A person who wants both has both.
    tiles.visible = True
    look(session, *ON_PINK, 2)
    assert tiles.visible
    assert cached(session)
    session.fine.on = False
    assert session.fine.layer is None
    assert tiles.visible
    assert not cached(session)


def test_only_what_is_new_in_view_is_encoded(session):
    encoder = session.models.fake_encoder
    click(session, ON_LANDMARK)
    encoder.tiles = 0
    look(session, *ON_LANDMARK, 3)
    session.fine.on = True
    first, value = encoder.tiles, at(session, *ON_LANDMARK)
    assert 0 < first < 24
    look(session, ON_LANDMARK[0] + 10, ON_LANDMARK[1], 3)
    moved = encoder.tiles
    look(session, *ON_PINK, 3)
    assert moved < encoder.tiles
    now = encoder.tiles
    look(session, *ON_LANDMARK, 3)
    assert encoder.tiles == now
    assert at(session, *ON_LANDMARK) == value


def test_kept_patch_tokens_are_taken_in_place_of_encoding(session):
    encoder, similarity = session.models.fake_encoder, session.similarity
    embed_slide(session.current.slide, encoder, similarity.store_path, patches=True)
    encoder.tiles = 0
    # No border of the tissue in view: slivers of it are in tiles that no store has.
    look(session, *ON_LANDMARK, 4)
    session.fine.on = True
    click(session, ON_LANDMARK)
    assert at(session, *ON_LANDMARK) == pytest.approx(1, abs=2e-3)
    assert encoder.tiles == 0


def test_prompts_change_the_map_from_memory(session):
    look(session, *ON_LANDMARK, 1)
    session.fine.on = True
    click(session, ON_LANDMARK)
    seen = session.models.fake_encoder.tiles
    pink = at(session, *ON_PINK)
    click(session, ON_PINK, "unlike")
    assert session.models.fake_encoder.tiles == seen
    assert at(session, *ON_PINK) == pytest.approx(pink - 1, abs=3e-3)
    session.current.prompts.clear()
    assert session.fine.layer is None
    assert session.similarity.layer is None


def test_a_view_too_large_says_so_and_shows_what_it_has(session, monkeypatch):
    look(session, *ON_LANDMARK, 4)
    session.fine.on = True
    click(session, ON_LANDMARK)
    seen = session.models.fake_encoder.tiles
    monkeypatch.setattr(_fine_work, "MOST_TILES", 12)
    look(session, *ON_LANDMARK, 0.5)
    assert session.fine.note.startswith("zoom in: ")
    assert session.models.fake_encoder.tiles == seen
    assert at(session, *ON_LANDMARK) == pytest.approx(1, abs=2e-3)
    # Only islands are known: the tile map says something of the rest.
    assert session.similarity.layer.visible
    look(session, *ON_LANDMARK, 4)
    assert session.fine.note == ""
    assert not session.similarity.layer.visible


def test_the_layer_is_written_as_a_heatmap(session, tmp_path):
    look(session, *ON_LANDMARK, 2)
    session.fine.on = True
    click(session, ON_LANDMARK)
    path = str(tmp_path / "fine.ome.tif")
    write_ome_tiff(path, [session.fine.layer.as_layer_data_tuple()])
    (heatmap,) = read_heatmaps(path)
    assert heatmap.name == "Similarity, 7 um"
    assert heatmap.at(*ON_LANDMARK) == pytest.approx(1, abs=2e-3)


def test_an_encoder_of_larger_patches_has_a_layer_of_its_own_name(session):
    look(session, *ON_LANDMARK, 2)
    session.fine.on = True
    click(session, ON_LANDMARK)
    spec = session.models.fake_encoder.spec
    session.models.fake_encoder.spec = replace(spec, patch_px=28)
    session.similarity.encoder = "h0-mini"
    assert session.fine.layer.name == "Similarity, 14 um"


def test_a_prompt_on_glass_makes_no_map(session):
    look(session, *ON_LANDMARK, 2)
    session.fine.on = True
    click(session, (20, 20))
    assert session.fine.layer is None


def test_a_closed_slide_leaves_nothing(session, open_layer, tmp_path):
    look(session, *ON_LANDMARK, 2)
    session.fine.on = True
    click(session, ON_LANDMARK)
    other = open_layer(session.viewer, draw(tmp_path / "second.tif", 0.25))
    session.viewer.layers.selection.active = other
    look(session, *ON_LANDMARK, 2)
    click(session, ON_LANDMARK)
    assert len(layers_of(session.viewer.layers, "fine")) == 2
    both = cached(session)
    own = session.current.fingerprint
    session.viewer.layers.remove(other)
    assert not layers_of(session.viewer.layers, "fine", own)
    assert len(layers_of(session.viewer.layers, "fine")) == 1
    assert 0 < cached(session) < both
    session.viewer.layers.clear()
    assert not cached(session)


def test_another_pixel_size_makes_other_patches(session):
    look(session, *ON_LANDMARK, 2)
    session.fine.on = True
    click(session, ON_LANDMARK)
    session.set_mpp(0.25)
    assert session.fine.layer.scale[0] == pytest.approx(7)
    assert at(session, *ON_LANDMARK) == pytest.approx(1, abs=2e-3)


def test_an_encoder_that_cannot_be_had_switches_it_off(session):
    click(session, ON_LANDMARK)
    session.models.broken = "the weights are not here"
    session.fine.on = True
    assert not session.fine.on
    assert "not here" in session.message


def test_the_switch_is_kept_in_sessions(session, tmp_path):
    look(session, *ON_LANDMARK, 2)
    click(session, ON_LANDMARK)
    session.fine.on = True
    path = tmp_path / "work.pathfm.json"
    session.save(path)
    session.fine.on = False
    session.restore(path)
    assert session.fine.on
    assert session.fine.layer is not None


# -- in the window ---------------------------------------------------------------------


def test_the_window_fills_in_and_follows_the_view(window, models, monkeypatch):
    """The view moves while a batch is encoded: the rest of the old view is dropped."""
    monkeypatch.setattr(_fine, "_STILL_S", 0.15)
    session, encoder = window.session, models.fake_encoder
    window.press(window.panel.similarity.tool)
    window.click(*ON_LANDMARK)
    window.until_heatmap()
    look(session, *ON_LANDMARK, 1)
    encoder.begun, encoder.tiles = 0, 0
    encoder.threads.clear()
    window.panel.similarity.fine.click()
    fine = session.fine
    window.until(lambda: fine.layer is not None)
    window.until(lambda: not fine.job.running)
    window.until(lambda: fine.layer.colorbar.visible)
    assert threading.get_ident() not in encoder.threads
    whole = encoder.tiles
    assert whole > 8
    # Again from nothing, and held in the first batch after the click's own tile.
    window.panel.similarity.fine.click()
    assert fine.layer is None
    window.until(lambda: not fine.job.running)
    encoder.tiles = encoder.begun = 0
    encoder.gate.clear()
    window.panel.similarity.fine.click()
    window.until(lambda: encoder.begun == 1)
    look(session, *ON_PINK, 4)
    encoder.gate.set()
    window.until(lambda: not fine.job.running)
    window.settle()
    assert encoder.tiles < whole
    assert np.isfinite(at(session, *ON_PINK))
    # Moving about asks for nothing before the view has rested.
    monkeypatch.setattr(_fine, "_STILL_S", 60)
    begun = encoder.begun
    for step in range(5):
        look(session, ON_PINK[0] - 40 * step, ON_PINK[1] + 100, 4)
        window.settle()
    assert encoder.begun == begun
    monkeypatch.setattr(_fine, "_STILL_S", 0.15)
    # A corner of the tissue that no view so far has shown, however wide the canvas.
    look(session, 1.3 * TILE, 1.5 * TILE, 4)
    window.until(lambda: not fine.job.running)
    assert encoder.begun > begun


def test_the_panel_says_what_is_going_on(window, models, monkeypatch):
    section = window.panel.similarity
    assert section.fine.text() == "7 µm, in view"
    assert "patch" in section.fine.parentWidget().toolTip()
    window.press(section.tool)
    window.click(*ON_LANDMARK)
    window.until_heatmap()
    monkeypatch.setattr(_fine_work, "MOST_TILES", 2)
    section.fine.click()
    window.until(lambda: section.fine_note.text().startswith("zoom in: "))
    section.fine.click()
    assert section.fine_note.text() == ""


def test_closing_the_window_ends_the_work(window, models):
    window.press(window.panel.similarity.tool)
    window.click(*ON_LANDMARK)
    window.until_heatmap()
    models.fake_encoder.gate.clear()
    window.panel.similarity.fine.click()
    window.until(lambda: window.session.fine.job is not None)
    window.panel.shut()
    models.fake_encoder.gate.set()
    window.until(lambda: not window.panel.runner.busy)
