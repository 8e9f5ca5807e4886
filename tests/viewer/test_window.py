"""The real window, used as a person uses it."""

from __future__ import annotations

import numpy as np
import pytest
from hand import SHIFT
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from conftest import LANDMARK, TILE
from napari_pathfm.viewer._metadata import layers_of
from napari_pathfm.viewer.panel import ModelsPanel

ON_LANDMARK = (LANDMARK[0] + 100, LANDMARK[1] + 90)
ON_PINK = (4.5 * TILE, 2.5 * TILE)
ON_GLASS = (100, 120)
# A click lands on a screen pixel, and the slide is shown at about half size.
NEAR = 3.0


def test_clicks_become_prompts_only_while_the_tool_is_on(window):
    window.click(*ON_PINK)
    assert window.prompts == ()
    window.press(window.panel.similarity.tool)
    window.click(*ON_PINK)
    window.click(*ON_LANDMARK, SHIFT)
    like, unlike = window.prompts
    assert like.point == pytest.approx(ON_PINK, abs=NEAR)
    assert like.role == "like"
    assert unlike.point == pytest.approx(ON_LANDMARK, abs=NEAR)
    assert unlike.role == "unlike"
    assert window.panel.similarity.count.text() == "1 like · 1 unlike"
    window.press(window.panel.sessions.undo)
    assert len(window.prompts) == 1
    window.press(window.panel.similarity.tool)
    window.click(*ON_LANDMARK)
    assert len(window.prompts) == 1
    window.press(window.panel.similarity.clear)
    assert window.prompts == ()


def test_clicks_work_whichever_of_our_layers_is_active(window):
    window.press(window.panel.similarity.tool)
    window.click(*ON_PINK)
    window.until_heatmap()
    window.panel.slide.tissue.click()
    window.until(lambda: window.layer("tissue") is not None)
    for count, kind in enumerate(("prompts", "heatmap", "tissue", "slide"), start=2):
        window.viewer.layers.selection.active = window.layer(kind)
        window.click(ON_PINK[0] + 10 * count, ON_PINK[1])
        assert len(window.prompts) == count


def test_a_layer_with_its_own_tool_in_hand_gets_its_clicks(window):
    window.press(window.panel.similarity.tool)
    points = window.viewer.add_points(
        ndim=2, scale=(0.5, 0.5), units=("um", "um"), name="mine"
    )
    points.mode = "add"
    window.click(*ON_PINK)
    assert window.prompts == ()
    assert len(points.data) == 1


def test_drags_pan_and_double_clicks_do_not_zoom(window):
    camera = window.viewer.scene.camera
    window.press(window.panel.similarity.tool)
    zoom, centre = camera.zoom, camera.center
    window.double_click(*ON_PINK)
    assert camera.zoom == zoom
    assert len(window.prompts) == 1
    window.drag(ON_PINK, (ON_PINK[0] + 200, ON_PINK[1] + 100))
    assert camera.center != centre
    assert len(window.prompts) == 1
    # With the tool put away napari's own double click is back.
    window.press(window.panel.similarity.tool)
    window.double_click(*ON_PINK)
    assert camera.zoom > zoom


def test_a_click_outside_the_slide_is_said_in_the_panel(window):
    window.press(window.panel.similarity.tool)
    camera = window.viewer.scene.camera
    camera.zoom /= 2
    window.settle()
    notification_manager.records.clear()
    window.click(-150, -120)
    assert window.prompts == ()
    assert "outside" in window.panel.message.text()
    assert window.panel.message.isVisible()
    assert not notification_manager.records


def test_a_click_becomes_a_heatmap_that_fills_in(window, models):
    models.fake_encoder.batch_s = 0.3
    window.session.similarity.overlap = 4
    window.press(window.panel.similarity.tool)
    window.click(*ON_LANDMARK)
    seen = []
    similarity = window.session.similarity

    def partly() -> bool:
        if similarity.layer is not None:
            seen.append(int(np.isfinite(similarity.layer.data).sum()))
        return bool(seen) and window.panel.similarity.progress.isVisible()

    window.until(partly)
    assert "tiles" in window.panel.similarity.progress.text.text()
    window.until(lambda: not similarity.job.running)
    window.settle()
    assert 0 < seen[0] < np.isfinite(similarity.layer.data).sum()
    assert not window.panel.similarity.progress.isVisible()
    peak = np.unravel_index(
        np.nanargmax(similarity.layer.data), similarity.layer.data.shape
    )
    place = window.session.current.level0(similarity.layer.data_to_world(peak))
    np.testing.assert_allclose(place, np.add(LANDMARK, TILE / 2), atol=TILE / 4)


def test_embedding_is_cancelled_and_goes_on_where_it_stopped(window, models):
    models.fake_encoder.batch_s = 0.3
    window.session.similarity.overlap = 4
    window.press(window.panel.similarity.tool)
    window.click(*ON_LANDMARK)
    progress = window.panel.similarity.progress
    job = lambda: window.session.similarity.job  # noqa: E731
    window.until(lambda: job().done > 0 and progress.isVisible())
    window.press(progress.cancel)
    window.until(lambda: not job().running)
    assert job().state == "cancelled"
    stopped_at, total = job().done, job().total
    assert 0 < stopped_at < total
    # What is embedded is shown.
    window.until(lambda: window.layer("heatmap") is not None)
    window.click(*ON_PINK)
    window.until(lambda: job().running and job().total > 0)
    assert job().done >= stopped_at
    window.until(lambda: not job().running)
    assert job().state == "done"
    assert not np.isnan(window.layer("heatmap").data[8, 8])


def test_a_click_during_embedding_moves_it_there(window, models):
    models.fake_encoder.batch_s = 0.25
    window.session.similarity.overlap = 4
    window.press(window.panel.similarity.tool)
    window.click(*ON_LANDMARK)
    job = lambda: window.session.similarity.job  # noqa: E731
    window.until(lambda: job().done > 0)
    first = job()
    far = (5.5 * TILE, 4.5 * TILE)
    window.click(*far)

    def far_is_done() -> bool:
        layer = window.layer("heatmap")
        if layer is None:
            return False
        value = layer.get_value(window.session.current.world(*far), world=True)
        return value is not None and bool(np.isfinite(value))

    window.until(far_is_done)
    assert job() is first
    assert first.done < first.total
    window.until(lambda: not job().running)
    assert len(layers_of(window.viewer.layers, "heatmap")) == 1


def test_g_generates_under_the_mouse(window, models):
    window.session.synthesis.steps = 2
    window.move(*ON_PINK)
    window.key(Qt.Key.Key_G)
    window.until_generated()
    layer = window.layer("synthetic")
    centre = window.session.current.level0(
        layer.data_to_world((0, (TILE - 1) / 2, (TILE - 1) / 2))
    )
    assert centre == pytest.approx(ON_PINK, abs=NEAR)
    assert len(layer.data) == 4


def test_the_button_generates_at_the_last_click_with_the_panels_settings(
    window, models
):
    panel = window.panel.synthesis
    assert not panel.button.isEnabled()
    window.press(window.panel.similarity.tool)
    window.click(*ON_PINK)
    window.until_heatmap()
    panel.n.setValue(2)
    panel.seed.setValue(11)
    panel.steps.setValue(3)
    panel.guidance.setValue(2.5)
    window.press(panel.button)
    window.until_generated()
    call = models.fake_generator.calls[-1]
    assert call == {
        "n": 2,
        "seed": 11,
        "steps": 3,
        "guidance": 2.5,
        "preset": "paper",
    }
    assert window.layer("synthetic").name == "Synthetic · bundled · seed 11"
    assert "Cosine" in panel.cosines.text()
    assert "prove" in panel.caution.text()
    assert panel.caution.isVisible()
    # napari's own slider steps through the variants.
    assert window.viewer.dims.nsteps[0] == 2


def test_the_panel_walks_between_the_last_two_clicks(window, models):
    panel = window.panel.synthesis
    window.press(window.panel.similarity.tool)
    window.click(*ON_PINK)
    window.until_heatmap()
    assert not panel.walk.isEnabled()
    window.click(ON_PINK[0] + 60, ON_PINK[1] + 40)
    window.until(lambda: panel.walk.isEnabled())
    panel.frames.setValue(3)
    panel.steps.setValue(2)
    window.press(panel.walk)
    window.until_generated()
    layer = window.layer("synthetic")
    assert layer.name == "Synthetic walk · bundled · seed 0"
    assert window.viewer.dims.axis_labels[0] == "frame"
    told = layer.metadata["napari_pathfm"]["provenance"]
    assert [p["details"]["fraction"] for p in told] == [0, 0.5, 1]
    # It stands at the first of the two places.
    centre = window.session.current.level0(
        layer.data_to_world((0, (TILE - 1) / 2, (TILE - 1) / 2))
    )
    assert centre == pytest.approx(ON_PINK, abs=NEAR)
    assert "way between" in panel.cosines.text()


def test_tissue_is_seen_forming_and_can_be_cancelled(window, models):
    models.fake_generator.step_s = 0.05
    window.move(*ON_PINK)
    window.key(Qt.Key.Key_G)
    window.until(lambda: window.layer("preview") is not None)
    preview = window.layer("preview")
    corner = window.session.current.level0(preview.data_to_world((-0.5, -0.5)))
    assert corner == pytest.approx(np.subtract(ON_PINK, TILE / 2), abs=NEAR)
    progress = window.panel.synthesis.progress
    window.until(progress.isVisible)
    window.press(progress.cancel)
    window.until_generated()
    assert window.layer("preview") is None
    assert window.layer("synthetic") is None
    assert "Nothing was kept" in window.panel.message.text()


def test_the_pixel_size_is_entered_in_the_panel(window, unknown_mpp_path, open_layer):
    open_layer(window.viewer, unknown_mpp_path)
    window.settle()
    slide = window.panel.slide
    assert slide.missing.isVisible()
    assert slide.usual.isVisible()
    assert slide.mpp.text() == "not known"
    assert not window.panel.similarity.tool.isEnabled()
    slide.mpp.setFocus()
    slide.mpp.setValue(0.25)
    slide.mpp.editingFinished.emit()
    window.settle()
    assert window.session.current.mpp == 0.25
    assert not slide.missing.isVisible()
    assert "entered by you" in slide.source.text()
    assert window.panel.similarity.tool.isEnabled()
    assert "0.39 \u00d7 0.34 mm" in slide.extent.text()


def test_the_empty_panel_says_what_to_do(make_napari_viewer, models, tmp_path):
    viewer = make_napari_viewer(show=True)
    panel = ModelsPanel(viewer, models=models, cache=tmp_path)
    viewer.window.add_dock_widget(panel)
    QApplication.processEvents()
    assert panel.pages.currentIndex() == 0
    assert "not for diagnosis" in panel.notice.text()


def test_closing_the_panel_leaves_nothing_and_it_opens_again(
    window, models, tmp_path, qtbot
):
    viewer, panel = window.viewer, window.panel
    before = (
        len(viewer.mouse_drag_callbacks),
        len(viewer.mouse_double_click_callbacks),
    )
    window.press(panel.similarity.tool)
    window.click(*ON_PINK)
    window.until_heatmap()
    top = len(QApplication.topLevelWidgets())
    viewer.window.remove_dock_widget(panel)
    window.settle()
    qtbot.wait(50)
    assert (
        len(viewer.mouse_drag_callbacks),
        len(viewer.mouse_double_click_callbacks),
    ) == before
    assert "G" not in {str(key) for key in viewer.keymap}
    assert len(QApplication.topLevelWidgets()) <= top
    # Nothing of it listens any more.
    window.layer("prompts").data = np.array([[5.0, 5.0]])
    viewer.layers.selection.active = window.layer("heatmap")

    again = ModelsPanel(viewer, models=models, cache=tmp_path / "stores")
    viewer.window.add_dock_widget(again, name="Pathology models")
    assert len(again.session.current.prompts) == 1
    assert again.similarity.count.text() == "1 like · 0 unlike"
    again.shut()


def test_closing_the_panel_stops_the_work(window, models, qtbot):
    models.fake_encoder.batch_s = 0.3
    window.session.similarity.overlap = 4
    window.press(window.panel.similarity.tool)
    window.click(*ON_LANDMARK)
    job = window.session.similarity.job
    window.until(lambda: job.done > 0)
    runner = window.panel.runner
    window.viewer.window.remove_dock_widget(window.panel)
    window.until(lambda: not runner.busy, timeout_s=5)
    assert job.cancelled()
    assert job.done < job.total


def test_heatmap_and_tissue_lie_on_the_landmark_in_the_picture(window):
    """The rendered picture: heatmap cell, then synthetic tile, against the landmark."""
    window.press(window.panel.similarity.tool)
    window.click(LANDMARK[0] + TILE / 2, LANDMARK[1] + TILE / 2)
    window.until_heatmap()
    window.press(window.panel.similarity.tool)
    window.layer("prompts").visible = False
    heatmap = window.layer("heatmap")
    heatmap.colorbar.visible = False
    viewer = window.viewer
    viewer.canvas.overlays.scale_bar.visible = False
    viewer.scene.camera.center = window.session.current.world(
        LANDMARK[0] + TILE / 2, LANDMARK[1] + TILE / 2
    )
    viewer.scene.camera.zoom = 3.0
    window.settle()
    scale = 3.0 * 0.5  # screen pixels per level-0 pixel
    expected = _box(window, LANDMARK, TILE)

    heatmap.visible = False
    plain = window.picture()
    blue = (plain[..., 2] > 100) & (plain[..., 0] < 100)
    assert _edges(blue) == pytest.approx(expected, abs=1.0)

    heatmap.visible = True
    heatmap.opacity = 1.0
    shown = window.picture()
    yellow = (shown[..., 0] > 200) & (shown[..., 1] > 200) & (shown[..., 2] < 80)
    assert _edges(yellow) == pytest.approx(_edges(blue), abs=1.0)
    heatmap.visible = False

    window.session.synthesis.steps = 1
    window.session.synthesis.generate_at(LANDMARK[0] + TILE / 2, LANDMARK[1] + TILE / 2)
    window.until_generated()
    synthetic = window.layer("synthetic")
    synthetic.bounding_box.visible = False
    assert synthetic.name_overlay.visible
    viewer.scene.camera.zoom = 3.0
    viewer.scene.camera.center = (
        0,
        *window.session.current.world(LANDMARK[0] + TILE / 2, LANDMARK[1] + TILE / 2),
    )
    expected = _box(window, LANDMARK, TILE)
    shown = window.picture()
    red = (shown[..., 0] > 200) & (shown[..., 1] < 60) & (shown[..., 2] < 60)
    assert _edges(red) == pytest.approx(expected, abs=1.0)
    # Exactly over the landmark: nothing of it is seen beside the tile.
    rest = (shown[..., 2] > 100) & (shown[..., 0] < 100)
    assert rest.sum() < 2 * TILE * scale
    # The next variant is another colour: the slider shows it.
    viewer.dims.set_current_step(0, 1)
    shown = window.picture()
    green = (shown[..., 1] > 200) & (shown[..., 0] < 60) & (shown[..., 2] < 60)
    assert _edges(green) == pytest.approx(expected, abs=1.0)


def test_the_picture_says_synthetic_and_shows_glass_through_nan(window):
    window.press(window.panel.similarity.tool)
    window.click(*ON_LANDMARK)
    window.until_heatmap()
    before = window.picture()
    glass = window.point(*ON_GLASS)
    np.testing.assert_allclose(before[glass.y(), glass.x()], 242, atol=4)
    window.session.synthesis.steps = 1
    window.session.synthesis.generate_at(*ON_PINK)
    window.until_generated()
    layer = window.layer("synthetic")
    marked = window.picture()
    layer.name_overlay.visible = False
    layer.bounding_box.visible = False
    bare = window.picture()
    changed = np.abs(marked.astype(int) - bare.astype(int)).sum(-1) > 60
    # The name in the corner, and the outline.
    assert changed[:40, :250].sum() > 100
    assert changed[60:].sum() > 200


def _box(window, corner, side) -> tuple[float, float, float, float]:
    left, top = window.to_canvas(*corner)
    right, bottom = window.to_canvas(corner[0] + side, corner[1] + side)
    return left, top, right, bottom


def _edges(mask) -> tuple[float, float, float, float]:
    rows = np.flatnonzero(mask.sum(1) > mask.shape[1] * 0.02)
    columns = np.flatnonzero(mask.sum(0) > mask.shape[0] * 0.02)
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
