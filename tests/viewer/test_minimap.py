"""The overview: where the view is, and moving it, as a person does."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from conftest import LANDMARK, MPP, TILE

SIZE = (7 * TILE, 6 * TILE)


@pytest.fixture
def minimap(window):
    return window.panel.minimap


def press(minimap, x: float, y: float) -> None:
    """Click the minimap where a level-0 place is drawn."""
    point = QPoint(
        int(x * minimap.width() / SIZE[0]), int(y * minimap.height() / SIZE[1])
    )
    QTest.mouseClick(minimap, Qt.MouseButton.LeftButton, pos=point)


def test_view_is_what_the_canvas_shows(session):
    overview = session.overview
    assert overview.size == SIZE
    camera = session.viewer.scene.camera
    camera.center, camera.zoom = session.current.world(700, 500), 4.0
    view = overview.view
    height, width = session.viewer.canvas.size
    # Four canvas pixels a micrometre, of which a level-0 pixel is half of one.
    assert view.width == pytest.approx(width / 4 / MPP)
    assert view.height == pytest.approx(height / 4 / MPP)
    assert view.x + view.width / 2 == pytest.approx(700)
    assert view.y + view.height / 2 == pytest.approx(500)
    session.viewer.dims.ndisplay = 3
    assert overview.view is None


def test_views_are_told_and_places_beyond_the_slide_are_not_gone_to(session):
    heard = []
    session.overview.view_changed.connect(lambda: heard.append(session.overview.view))
    session.overview.centre_on(300, 400)
    assert heard[-1].x + heard[-1].width / 2 == pytest.approx(300)
    session.overview.centre_on(-50, 1e6)
    view = session.overview.view
    assert view.x + view.width / 2 == pytest.approx(0)
    assert view.y + view.height / 2 == pytest.approx(SIZE[1])


def test_picture_shows_the_slide(session):
    picture = session.overview.picture
    assert max(picture.shape) == 512
    scale = picture.shape[1] / SIZE[0]
    x, y = (int((side + TILE / 2) * scale) for side in LANDMARK)
    np.testing.assert_allclose(picture[y, x], (60, 40, 140), atol=2)
    session.viewer.layers.clear()
    assert session.overview.picture is None
    assert session.overview.view is None
    session.overview.centre_on(5, 5)  # nowhere to go


def test_it_lies_in_the_corner_of_the_canvas(window, minimap):
    canvas = window.canvas
    assert minimap.isVisible()
    assert minimap.parent() is canvas
    corner = minimap.geometry()
    assert corner.left() == 10
    assert corner.bottom() == canvas.height() - 11
    assert minimap.width() / minimap.height() == pytest.approx(
        SIZE[0] / SIZE[1], rel=0.02
    )
    window.viewer.window.resize(900, 600)
    window.until(lambda: minimap.geometry().bottom() == canvas.height() - 11)


def test_a_click_moves_the_view_there(window, minimap):
    window.viewer.scene.camera.zoom = 6
    before = window.viewer.scene.camera.zoom
    press(minimap, 400, 900)
    view = window.session.overview.view
    # To the pixel of the minimap that was clicked.
    pixel = SIZE[0] / minimap.width()
    assert view.x + view.width / 2 == pytest.approx(400, abs=pixel)
    assert view.y + view.height / 2 == pytest.approx(900, abs=pixel)
    assert window.viewer.scene.camera.zoom == before
    # The frame follows, and its middle is where the click was.
    frame = minimap.frame()
    assert frame.center().x() == pytest.approx(400 / pixel, abs=1.5)
    assert frame.center().y() == pytest.approx(900 / pixel, abs=1.5)


def test_dragging_goes_on_moving(window, minimap):
    window.viewer.scene.camera.zoom = 6
    start, end = QPoint(40, 40), QPoint(80, 60)
    QTest.mousePress(minimap, Qt.MouseButton.LeftButton, pos=start)
    QTest.mouseMove(minimap, end)
    window.settle()
    QTest.mouseRelease(minimap, Qt.MouseButton.LeftButton, pos=end)
    view, pixel = window.session.overview.view, SIZE[0] / minimap.width()
    assert view.x + view.width / 2 == pytest.approx(80 * pixel, abs=pixel)
    # No prompt was made, and the canvas below did not pan.
    assert not window.prompts


def test_a_click_on_it_is_no_prompt(window, minimap):
    window.press(window.panel.similarity.tool)
    press(minimap, 700, 700)
    window.settle()
    assert not window.prompts


def test_the_frame_is_drawn(window, minimap):
    window.viewer.scene.camera.zoom = 6
    window.session.overview.centre_on(784, 672)
    window.settle()
    image = minimap.grab().toImage()
    frame = minimap.frame().toRect()
    colour = image.pixelColor(frame.left(), frame.center().y())
    ratio = image.width() / minimap.width()
    assert ratio == 1
    assert (colour.red(), colour.green(), colour.blue()) == (0, 114, 178)


def test_it_goes_with_the_slide_and_with_the_panel(window, minimap):
    window.viewer.layers.clear()
    window.settle()
    assert not minimap.isVisible()
    window.panel.shut()
    assert window.session.overview.picture is None
    # Nothing listens any more.
    window.viewer.scene.camera.zoom = 2


def test_it_can_be_put_away(window, minimap):
    window.panel.slide.overview.click()
    assert not minimap.isVisible()
    window.panel.slide.overview.click()
    assert minimap.isVisible()
