"""A virtual slide in the viewer: made where somebody looks, never waited for."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from plain_generator import PlainGenerator
from plain_models import PlainModels

from conftest import TILE
from napari_pathfm.synthesis import Chunk
from napari_pathfm.viewer._metadata import entry, layers_of
from napari_pathfm.viewer.session import _virtual
from napari_pathfm.viewer.session._virtual_levels import TO_COME, VirtualLevels


class SlowGenerator(PlainGenerator):
    """Makes a pass when it is let to."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def _velocity(self, x, t, condition, drop):
        self.gate.wait(20)
        return super()._velocity(x, t, condition, drop)


@pytest.fixture
def models():
    return PlainModels()


def look(session, x, y, zoom):
    state = session.current
    session.viewer.scene.camera.center = (0, *state.world(x, y))
    session.viewer.scene.camera.zoom = zoom


def test_what_is_in_view_is_made_and_lies_in_its_place(session):
    look(session, 500, 500, 2)
    session.virtual.begin()
    (layer,) = layers_of(session.viewer.layers, "virtual")
    assert session.virtual.layer is layer
    assert session.viewer.layers.index(layer) == 1
    told = entry(layer)
    assert told["synthetic"] is True
    assert told["provenance"][0]["action"] == "virtual"
    own = session.virtual._open
    virtual = own.levels.virtual
    assert virtual.shape == layer.data[0].shape[:2] == (6 * TILE, 7 * TILE)
    made = [c for c in virtual.all_chunks() if own.levels.has(c)]
    assert made
    for chunk in made:
        y, x = chunk.row * 504, chunk.column * 504
        height, width = virtual.size_of(chunk)
        part = layer.data[0][y : y + height, x : x + width]
        np.testing.assert_array_equal(part, virtual.make(chunk))
    # Another place, later: what is in memory is not made again.
    passes = session.models.fake_generator.passes
    look(session, 510, 510, 2)
    assert session.models.fake_generator.passes == passes
    look(session, 1000, 800, 2)
    assert session.models.fake_generator.passes > passes
    corner = session.current.level0(layer.data_to_world((-0.5, -0.5)))
    np.testing.assert_allclose(corner, (0, 0), atol=1e-6)


def test_chunks_come_back_from_disk(session):
    look(session, 500, 500, 2)
    session.virtual.begin()
    passes = session.models.fake_generator.passes
    assert passes
    before = np.asarray(session.virtual.layer.data[0])
    session.viewer.layers.remove(session.virtual.layer)
    assert session.virtual.layer is None
    session.virtual.begin()
    assert session.models.fake_generator.passes == passes
    np.testing.assert_array_equal(session.virtual.layer.data[0], before)


def test_nothing_is_made_of_a_whole_slide_in_view(session, monkeypatch):
    monkeypatch.setattr(_virtual, "MOST_CHUNKS", 1)
    look(session, 700, 700, 0.5)
    session.virtual.begin()
    assert session.virtual.too_far
    assert session.models.fake_generator.passes == 0
    level = session.virtual.layer.data[0]
    assert level[500, 500].tolist() == list(TO_COME)
    assert level[5, 5].tolist() == [243] * 3
    session.virtual.layer.visible = False
    look(session, 500, 500, 6)
    assert session.models.fake_generator.passes == 0


def test_levels_are_sliced_as_arrays_are(session):
    look(session, 500, 500, 2)
    session.virtual.begin()
    level = session.virtual.layer.data[0]
    whole = np.asarray(level)
    for key in (
        (slice(3, 700), slice(450, 600)),
        (slice(-5, None), slice(None), 1),
        (40, 50),
        (slice(0, 900, 7), 12, slice(None)),
        7,
    ):
        np.testing.assert_array_equal(level[key], whole[key])
    coarsest = session.virtual.layer.data[-1]
    assert isinstance(coarsest, np.ndarray)
    assert (coarsest != TO_COME).any()


def test_a_large_slide_has_a_coarsest_level_that_fits(session):
    session.virtual.begin()
    virtual = session.virtual._open.levels.virtual
    virtual.shape = (60_000, 90_000)
    virtual.chunks = (120, 179)
    levels = VirtualLevels(virtual)
    assert [level.shape[0] for level in levels.levels] == [60_000, 30_000, 15_000, 7500]
    assert max(levels.data[-1].shape) <= 1024
    levels.put(Chunk(3, 5), np.full((504, 504, 3), 9, np.uint8))
    row, column = (round(504 * (at + 0.5) * 1024 / 90_000) for at in (3, 5))
    assert levels.data[-1][row, column].tolist() == [9, 9, 9]


def test_a_closed_slide_and_another_pixel_size_take_it_away(session):
    session.virtual.begin()
    assert session.virtual.layer is not None
    session.set_mpp(0.25)
    assert session.virtual.layer is None
    assert not layers_of(session.viewer.layers, "virtual")


@pytest.fixture
def slow(models):
    models.fake_generator = SlowGenerator()
    return models.fake_generator


def test_in_the_window_it_is_laid_over_and_stopped(slow, window):
    panel, session = window.panel, window.session
    look(session, 500, 500, 2)
    rows = panel.synthesis.regions
    rows.virtual.click()
    window.qtbot.waitUntil(lambda: session.virtual.layer is not None, timeout=20_000)
    level = session.virtual.layer.data[0]
    # The network has not made a pass, and the window has all that it asks for.
    assert level[500, 500].tolist() == list(TO_COME)
    assert slow.passes == 0
    assert not rows.virtual.isEnabled()
    session.virtual.cancel()
    slow.gate.set()
    window.qtbot.waitUntil(lambda: not session.virtual.running, timeout=20_000)
    # One pass, of a window and its unguided twin.
    assert slow.passes <= 2
    assert rows.virtual.text() == "Go on (virtual slide)"
    rows.virtual.click()
    window.qtbot.waitUntil(lambda: session.virtual.job.state == "done", timeout=20_000)
    assert level[500, 500].tolist() != list(TO_COME)
    assert rows.virtual.text() == "Virtual slide"
    assert session.virtual.layer.name_overlay.visible


def test_what_leaves_the_view_is_dropped(slow, window):
    session = window.session
    look(session, 300, 300, 6)
    window.panel.synthesis.regions.virtual.click()
    window.qtbot.waitUntil(lambda: session.virtual.layer is not None, timeout=20_000)
    first = session.virtual.in_view()[0]
    look(session, 1100, 1000, 6)
    slow.gate.set()
    window.qtbot.waitUntil(lambda: not session.virtual.running, timeout=20_000)
    assert not session.virtual._open.levels.has(first)
    there = session.virtual.in_view()[0]
    assert there != first
    assert session.virtual._open.levels.has(there)
