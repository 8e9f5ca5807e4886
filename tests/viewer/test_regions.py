"""Drawn regions as prompts: the map follows what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from napari.layers import Labels, Shapes

from conftest import LANDMARK, MPP, TILE
from napari_pathfm.heatmaps import similarity

X, Y = LANDMARK
ON_LANDMARK = shapely.box(X + 20, Y + 20, X + 200, Y + 200)


def shapes(name, *boxes):
    """A layer with rectangles, as napari draws them: pixel centres."""
    layer = Shapes(ndim=2, name=name, scale=(MPP, MPP), units=("um", "um"))
    for left, top, right, bottom in boxes:
        layer.add_rectangles(np.array([[top, left], [bottom, right]]) - 0.5)
    return layer


def values(session):
    return session.similarity.heatmap(session.current).values


def wanted(session, like, unlike=()):
    store = session.similarity.store(session.current)
    return similarity(store, like, unlike).values


def test_a_drawn_region_is_what_the_map_is_like(session):
    session.viewer.add_layer(shapes("Like", ON_LANDMARK.bounds))
    np.testing.assert_array_equal(values(session), wanted(session, [ON_LANDMARK]))
    row, column = Y // TILE, X // TILE
    assert np.nanargmax(values(session)) == row * values(session).shape[1] + column


def test_beside_clicks_and_with_its_opposite(session):
    pink = shapely.box(4 * TILE + 9, TILE + 9, 6 * TILE - 9, 2 * TILE - 9)
    session.prompt(session.current.world(X + 112, Y + 112))
    session.viewer.add_layer(shapes("Unlike", pink.bounds))
    like, unlike = [(X + 112, Y + 112)], [pink]
    np.testing.assert_allclose(values(session), wanted(session, like, unlike))
    # Taken away, it has no say any more.
    session.viewer.layers.remove("Unlike")
    np.testing.assert_allclose(values(session), wanted(session, like))


def test_the_map_follows_a_moved_corner_and_a_brush(session):
    layer = session.viewer.add_layer(shapes("Like", ON_LANDMARK.bounds))
    moved = shapely.box(4 * TILE + 9, TILE + 9, 5 * TILE - 9, 2 * TILE - 9)
    left, top, right, bottom = moved.bounds
    layer.data = [
        np.array([[top, left], [top, right], [bottom, right], [bottom, left]])
    ]
    before = values(session)
    (corners,) = layer.data
    layer.data = [corners - 0.5]
    np.testing.assert_allclose(values(session), wanted(session, [moved]))
    assert np.nanmax(np.abs(values(session) - before)) < 2
    session.viewer.layers.remove(layer)
    assert session.similarity.heatmap(session.current) is None
    height, width = session.current.layer.data[0].shape[:2]
    brush = Labels(
        np.zeros((height // 8, width // 8), np.uint8),
        name="Like",
        scale=(8 * MPP,) * 2,
        translate=(3.5 * MPP,) * 2,
        units=("um", "um"),
    )
    session.viewer.add_layer(brush)
    brush.paint(((Y + 112) // 8, (X + 112) // 8), 1)
    row, column = Y // TILE, X // TILE
    assert np.nanargmax(values(session)) == row * values(session).shape[1] + column


def test_glass_and_only_unlike_are_said(session):
    session.viewer.add_layer(shapes("Like", (5, 5, 60, 60)))
    assert session.similarity.heatmap(session.current) is None
    assert session.message == "There is no tissue in a drawn region."
    session.viewer.layers.remove("Like")
    session.viewer.add_layer(shapes("Unlike", ON_LANDMARK.bounds))
    assert session.similarity.heatmap(session.current) is None
    assert "should be like, too" in session.message


def test_regions_come_back_with_the_session(session, tmp_path):
    session.viewer.add_layer(shapes("Like", ON_LANDMARK.bounds))
    before = values(session)
    session.save(tmp_path / "s.pathfm.json")
    session.viewer.layers.remove("Like")
    assert session.similarity.heatmap(session.current) is None
    session.restore(tmp_path / "s.pathfm.json")
    np.testing.assert_allclose(values(session), before)


@pytest.mark.parametrize("role", ["like", "unlike"])
def test_the_buttons_give_a_layer_in_hand(window, role):
    section = window.panel.similarity
    assert section.drawn.text() == "none"
    window.press(getattr(section, f"draw_{role}"))
    layer = window.viewer.layers.selection.active
    assert layer.name == role.capitalize()
    assert str(layer.mode) == "add_polygon_lasso"
    left, top, right, bottom = ON_LANDMARK.bounds
    layer.add_rectangles(np.array([[top, left], [bottom, right]]) - 0.5)
    window.until(lambda: section.drawn.text() == role)
    if role == "like":
        window.until_heatmap()
    # The same layer again, not a second one.
    window.press(getattr(section, f"draw_{role}"))
    assert sum(x.name == role.capitalize() for x in window.viewer.layers) == 1
