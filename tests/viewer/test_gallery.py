"""The most similar tiles as pictures, without a window."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import LANDMARK, TILE
from napari_pathfm.exports import layer_objects
from napari_pathfm.viewer._metadata import layers_of

DARK = (LANDMARK[0] + TILE / 2, LANDMARK[1] + TILE / 2)


@pytest.fixture
def gallery(session):
    return session.gallery


def click(session, place, role="like"):
    assert session.prompt(session.current.world(*place), role)


def test_nothing_is_read_until_somebody_looks(session, gallery):
    assert not gallery.possible
    click(session, DARK)
    assert gallery.possible
    assert gallery.pictures == []
    gallery.shown = True
    assert len(gallery.pictures) == 12
    gallery.shown = False
    click(session, (1.5 * TILE, 1.5 * TILE), "unlike")
    gallery.shown = True
    assert gallery.pictures[0].found.value < 0.99


def test_the_most_similar_tile_is_the_clicked_one(session, gallery):
    gallery.shown = True
    click(session, DARK)
    first = gallery.pictures[0]
    assert (first.found.x, first.found.y) == DARK
    assert first.found.value == pytest.approx(1, abs=1e-3)
    # The landmark's own blue, over all of the tile.
    np.testing.assert_allclose(first.pixels.mean((0, 1)), (60, 40, 140), atol=4)
    values = [picture.found.value for picture in gallery.pictures]
    assert values == sorted(values, reverse=True)
    gallery.lowest = True
    assert gallery.pictures[0].found.value < values[-1] + 1e-6
    assert gallery.pictures[0].pixels.mean() > 150


def test_a_picture_leads_to_its_place(session, gallery):
    gallery.shown = True
    click(session, DARK)
    gallery.go(0)
    np.testing.assert_allclose(
        session.viewer.scene.camera.center[-2:], session.current.world(*DARK)
    )


def test_pictures_follow_the_prompts_and_go_with_them(session, gallery):
    gallery.shown = True
    click(session, DARK)
    click(session, (3.5 * TILE, 2.5 * TILE), "unlike")
    assert gallery.pictures[0].found.value < 0.99
    session.current.prompts.clear()
    assert gallery.pictures == []
    assert not gallery.possible


def test_outlines_go_on_to_qupath(session, gallery):
    gallery.annotate()  # nothing to outline, and nothing happens
    gallery.shown = True
    click(session, DARK)
    active = session.viewer.layers.selection.active
    gallery.annotate()
    (layer,) = layers_of(session.viewer.layers, "objects")
    assert session.viewer.layers.selection.active is active
    assert layer.name == "Tiles: Most similar"
    objects = layer_objects(layer.as_layer_data_tuple())
    assert len(objects) == 12
    assert {one.classification for one in objects} == {"Most similar"}
    best = max(objects, key=lambda one: one.measurements["similarity"])
    assert best.geometry.bounds == (*LANDMARK, LANDMARK[0] + TILE, LANDMARK[1] + TILE)
