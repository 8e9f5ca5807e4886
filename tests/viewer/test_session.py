"""The session without Qt: what it decides, and what it does to a viewer's layers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fakes import FakeModels
from napari.components import ViewerModel
from napari.layers import Points
from napari.utils.notifications import notification_manager

from conftest import LANDMARK, MPP, TILE
from napari_pathfm.viewer._metadata import entry, layers_of
from napari_pathfm.viewer.session import Session

ON_LANDMARK = (LANDMARK[0] + 100.0, LANDMARK[1] + 90.0)
ON_PINK = (4.5 * TILE, 2.5 * TILE)
ON_GLASS = (20.0, 30.0)


def click(session: Session, place, role="like") -> bool:
    return session.prompt(session.current.world(*place), role)


def heatmap(session: Session):
    return session.similarity.layer


# -- which slide -----------------------------------------------------------------------


def test_the_slide_is_that_of_the_active_layer(session, unknown_mpp_path, open_layer):
    viewer = session.viewer
    first = session.current
    second_layer = open_layer(viewer, unknown_mpp_path)
    assert session.current.layer is second_layer
    viewer.layers.selection.active = first.layer
    assert session.current is first
    click(session, ON_LANDMARK)
    viewer.layers.selection.active = second_layer
    assert session.current is not first
    # Anything that lies on a slide speaks for it.
    viewer.layers.selection.active = layers_of(viewer.layers, "heatmap")[0]
    assert session.current is first
    other = viewer.add_points(np.zeros((1, 2)), units=("um", "um"))
    viewer.layers.selection.active = other
    assert session.current is first
    viewer.layers.remove(first.layer)
    assert session.current.layer is second_layer
    viewer.layers.remove(second_layer)
    assert session.current is None
    assert session.prompt((0.0, 0.0)) is False
    assert "Open a slide" in session.message


def test_a_slide_that_has_moved_is_said_once(tmp_path, drawn_path, open_layer):
    path = tmp_path / "gone.tif"
    path.write_bytes(drawn_path.read_bytes())
    viewer = ViewerModel()
    open_layer(viewer, path)
    path.unlink()
    notification_manager.records.clear()
    session = Session(viewer, models=FakeModels(), cache=tmp_path)
    viewer.layers.selection.clear()
    assert session.current is None
    assert len(notification_manager.records) == 1
    session.close()


# -- pixel size ------------------------------------------------------------------------


def test_the_pixel_size_is_asked_for_and_set_at_once(
    tmp_path, unknown_mpp_path, open_layer
):
    viewer = ViewerModel()
    layer = open_layer(viewer, unknown_mpp_path)
    session = Session(viewer, models=FakeModels(), cache=tmp_path)
    assert session.current.mpp is None
    assert session.prompt((10.0, 10.0)) is False
    assert "pixel size" in session.message
    session.set_mpp(0.25)
    np.testing.assert_allclose(layer.scale, 0.25)
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    assert entry(layer)["mpp"] == 0.25
    assert entry(layer)["mpp_source"] == "user"
    assert session.message == ""
    session.close()
    # What was entered outlives the panel.
    again = Session(viewer, models=FakeModels(), cache=tmp_path)
    assert again.current.mpp == 0.25
    again.close()


def test_an_absurd_pixel_size_is_refused(session):
    notification_manager.records.clear()
    session.set_mpp(500.0)
    assert session.current.mpp == MPP
    assert len(notification_manager.records) == 1


def test_what_lies_on_the_slide_follows_its_pixel_size(session):
    click(session, ON_LANDMARK)
    session.synthesis.generate()
    synthetic = layers_of(session.viewer.layers, "synthetic")[0]
    before = session.current.level0(synthetic.data_to_world((0, 10, 20)))
    session.set_mpp(2 * MPP)
    after = session.current.level0(synthetic.data_to_world((0, 10, 20)))
    np.testing.assert_allclose(after, before)
    (prompts,) = layers_of(session.viewer.layers, "prompts")
    np.testing.assert_allclose(
        session.current.level0(prompts.data_to_world(prompts.data[0])), ON_LANDMARK
    )
    # The map was made of other tiles: it is made again at the new size.
    assert heatmap(session).scale[0] == pytest.approx(
        entry(heatmap(session))["stride"] * 2 * MPP
    )


# -- prompts ---------------------------------------------------------------------------


def test_prompts_are_a_points_layer_in_micrometres(session):
    click(session, ON_LANDMARK)
    click(session, ON_PINK, "unlike")
    (layer,) = layers_of(session.viewer.layers, "prompts")
    assert isinstance(layer, Points)
    assert list(layer.features["role"]) == ["like", "unlike"]
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    for point, place in zip(layer.data, (ON_LANDMARK, ON_PINK), strict=True):
        np.testing.assert_allclose(
            layer.data_to_world(point), session.current.world(*place)
        )
    assert len({str(symbol) for symbol in layer.symbol}) == 2
    assert not np.allclose(layer.face_color[0], layer.face_color[1])
    assert session.viewer.layers.selection.active is session.current.layer


def test_prompts_can_be_undone_cleared_and_deleted_on_the_canvas(session):
    click(session, ON_LANDMARK)
    click(session, ON_PINK)
    click(session, ON_PINK, "unlike")
    session.history.undo()
    assert len(session.current.prompts) == 2
    (layer,) = layers_of(session.viewer.layers, "prompts")
    layer.selected_data = {0}
    layer.remove_selected()
    ((x, y, role),) = session.current.prompts.items
    assert (x, y) == pytest.approx(ON_PINK)
    assert role == "like"
    session.current.prompts.clear()
    assert not layers_of(session.viewer.layers, "prompts")
    assert heatmap(session) is None
    # And again, from the start.
    click(session, ON_LANDMARK)
    assert heatmap(session) is not None


def test_removing_the_prompts_layer_takes_the_prompts_back(session):
    click(session, ON_LANDMARK)
    session.viewer.layers.remove(layers_of(session.viewer.layers, "prompts")[0])
    assert len(session.current.prompts) == 0


def test_a_new_session_takes_up_the_prompts_of_the_last(session, models, tmp_path):
    click(session, ON_LANDMARK)
    click(session, ON_PINK, "unlike")
    items = session.current.prompts.items
    session.close()
    again = Session(session.viewer, models=models, cache=tmp_path / "stores")
    assert len(again.current.prompts) == 2
    for old, new in zip(items, again.current.prompts.items, strict=True):
        assert new.role == old.role
        assert new.point == pytest.approx(old.point)
    again.current.prompts.replace(again.current.prompts.items[:-1])
    (layer,) = layers_of(session.viewer.layers, "prompts")
    assert len(layer.data) == 1
    again.close()


def test_a_click_outside_is_said_quietly(session):
    notification_manager.records.clear()
    assert click(session, (-5, 10)) is False
    assert "outside" in session.message
    assert session.viewer.status == session.message
    assert not notification_manager.records


# -- similarity ------------------------------------------------------------------------


def test_a_click_becomes_a_heatmap_aligned_to_the_landmark(session):
    assert click(session, ON_LANDMARK)
    layer = heatmap(session)
    assert layer.data.shape == (6, 7)
    # The landmark is one tile of the grid: alone like itself.
    assert np.unravel_index(np.nanargmax(layer.data), layer.data.shape) == (3, 2)
    assert np.isnan(layer.data[0, 0])
    # The cell's corners are the landmark's corners, to the pixel.
    left, top = session.current.level0(layer.data_to_world((2.5, 1.5)))
    right, bottom = session.current.level0(layer.data_to_world((3.5, 2.5)))
    assert (left, top) == pytest.approx(LANDMARK, abs=1e-6)
    assert (right, bottom) == pytest.approx(np.add(LANDMARK, TILE), abs=1e-6)
    assert layer.get_value(session.current.world(*ON_LANDMARK), world=True) == (
        pytest.approx(1, abs=1e-3)
    )


def test_the_heatmap_reads_well(session):
    click(session, ON_LANDMARK)
    layer = heatmap(session)
    assert layer.colormap.name == "viridis"
    assert layer.colormap.nan_color[3] == 0
    assert 0 < layer.opacity < 1
    assert layer.blending == "translucent"
    assert layer.interpolation2d == "nearest"
    assert layer.colorbar.visible
    assert layer.contrast_limits[0] < layer.contrast_limits[1]
    assert session.viewer.layers.extent.units is not None
    facts = entry(layer)
    assert facts["kind"] == "heatmap"
    assert facts["provenance"]["like"] == [list(ON_LANDMARK)]
    assert json.loads(json.dumps(facts)) == facts


def test_one_heatmap_layer_is_redrawn_in_place(session):
    click(session, ON_LANDMARK)
    layer, before = heatmap(session), heatmap(session).data.copy()
    layer.opacity, layer.colormap = 0.3, "magma"
    click(session, ON_PINK, "unlike")
    assert layers_of(session.viewer.layers, "heatmap") == [layer]
    assert not np.allclose(layer.data, before, equal_nan=True)
    assert layer.opacity == 0.3
    assert layer.colormap.name == "magma"
    assert layer.contrast_limits == pytest.approx(entry(layer)["limits"])
    layer.contrast_limits = (-0.5, 0.5)
    click(session, ON_PINK)
    assert layer.contrast_limits == [-0.5, 0.5]


def test_glass_is_answered_before_anything_is_embedded(session, models):
    assert click(session, ON_GLASS)
    assert session.message == "There is no tissue at that place."
    assert len(session.current.prompts) == 0
    assert heatmap(session) is None
    assert models.loads == 0


def test_glass_among_tissue_costs_only_itself(session):
    click(session, ON_LANDMARK)
    click(session, ON_GLASS)
    assert [p.point for p in session.current.prompts.items] == [ON_LANDMARK]
    assert heatmap(session) is not None


def test_a_finished_store_answers_without_the_encoder(session, tmp_path):
    click(session, ON_LANDMARK)
    first = heatmap(session).data.copy()
    assert session.similarity.store_path.exists()
    session.current.prompts.clear()
    session.close()
    fresh = FakeModels()
    again = Session(session.viewer, models=fresh, cache=tmp_path / "stores")
    click(again, ON_LANDMARK)
    np.testing.assert_array_equal(heatmap(again).data, first)
    assert fresh.loads == 0
    again.close()


def test_other_weights_get_a_store_of_their_own(session, models):
    click(session, ON_LANDMARK)
    session.current.prompts.clear()
    session.similarity._stores.clear()
    models.fake_encoder.revision = "fake:ffffffffffff"
    batches = models.fake_encoder.batches
    click(session, ON_LANDMARK)
    assert models.fake_encoder.batches > batches
    assert len(list(session.similarity.store_path.parent.iterdir())) == 2


def test_a_store_that_does_not_say_how_tiles_were_read_is_left_alone(session, models):
    click(session, ON_LANDMARK)
    store = session.similarity.store_path
    session.current.prompts.clear()
    session.similarity._stores.clear()
    facts = json.loads((store / "zarr.json").read_text())
    del facts["attributes"]["resampling"]  # as early versions wrote it
    (store / "zarr.json").write_text(json.dumps(facts))
    before = sorted((p, p.stat().st_mtime_ns) for p in store.rglob("*"))
    batches = models.fake_encoder.batches
    click(session, ON_LANDMARK)
    assert models.fake_encoder.batches > batches
    assert heatmap(session) is not None
    assert sorted((p, p.stat().st_mtime_ns) for p in store.rglob("*")) == before
    assert len(list(store.parent.iterdir())) == 2


def test_a_finer_step_is_another_store_and_the_same_layer(session):
    click(session, ON_LANDMARK)
    layer = heatmap(session)
    session.similarity.overlap = 2
    assert heatmap(session) is layer
    assert layer.scale[0] == pytest.approx(TILE / 2 * MPP)
    row, column = np.unravel_index(np.nanargmax(layer.data), layer.data.shape)
    centre = session.current.level0(layer.data_to_world((row, column)))
    np.testing.assert_allclose(centre, np.add(LANDMARK, TILE / 2), atol=1e-6)


def test_only_unlike_asks_for_like(session):
    click(session, ON_PINK, "unlike")
    assert heatmap(session) is None
    assert "like" in session.message


def test_weights_that_cannot_be_had_are_one_notification(session, models):
    models.broken = "H0-mini is gated: ask for access"
    notification_manager.records.clear()
    click(session, ON_LANDMARK)
    (record,) = notification_manager.records
    assert record.message == models.broken
    models.broken = None
    click(session, ON_PINK)
    assert heatmap(session) is not None


# -- tissue ----------------------------------------------------------------------------


def test_tissue_is_outlined_and_measured(session):
    assert session.tissue.fraction is None
    session.tissue.show()
    assert session.tissue.shown
    assert session.tissue.fraction == pytest.approx(20 / 42, abs=0.02)
    (layer,) = layers_of(session.viewer.layers, "tissue")
    assert layer.get_value(session.current.world(*ON_PINK), world=True) == 1
    assert not layer.get_value(session.current.world(*ON_GLASS), world=True)
    session.tissue.hide()
    assert not session.tissue.shown


# -- synthesis -------------------------------------------------------------------------


def test_a_place_becomes_tissue_at_that_place(session, models):
    click(session, ON_PINK)
    synthesis = session.synthesis
    synthesis.n, synthesis.seed, synthesis.steps = 3, 7, 2
    synthesis.generate()
    (layer,) = layers_of(session.viewer.layers, "synthetic")
    assert layer.data.shape == (3, TILE, TILE, 3)
    assert layer.rgb
    assert layer.name == "Synthetic · bundled · seed 7"
    corner = session.current.level0(layer.data_to_world((0, -0.5, -0.5)))
    np.testing.assert_allclose(corner, np.subtract(ON_PINK, TILE / 2), atol=1e-6)
    assert models.fake_generator.calls[-1]["n"] == 3
    facts = entry(layer)
    assert [p["seed"] for p in facts["provenance"]] == [7, 8, 9]
    assert all(p["synthetic"] is True for p in facts["provenance"])
    assert json.loads(json.dumps(facts)) == facts
    # Marked on the canvas, so that screenshots say so.
    assert layer.bounding_box.visible
    assert layer.name_overlay.visible
    assert len(synthesis.result.fidelity) == 3
    assert session.viewer.dims.current_step[0] == 0
    assert not layers_of(session.viewer.layers, "preview")
    # Clicks still land where they are made, though the viewer has an axis more.
    assert click(session, ON_LANDMARK)
    assert session.viewer.layers.extent.units is not None


def test_variants_from_the_mean_of_clicks_and_from_nothing(session, models):
    click(session, ON_LANDMARK)
    click(session, ON_PINK)
    session.synthesis.generate()
    assert session.synthesis.result.images[0].provenance.points == (ON_PINK,)
    session.synthesis.origin = "mean"
    session.synthesis.generate()
    told = session.synthesis.result.images[0].provenance
    assert told.points == (ON_PINK, ON_LANDMARK)
    x, y, side, _ = session.synthesis.result.box
    assert (x + side / 2, y + side / 2) == ON_PINK
    session.synthesis.origin = "none"
    session.synthesis.generate()
    assert models.fake_generator.conditions[-1] is None
    told = session.synthesis.result.images[0].provenance
    assert set(told.fidelity) == {"cosine_to_place", "neighbours_below"}


def test_nowhere_to_generate_is_said(session):
    session.synthesis.generate()
    assert "Click tissue" in session.message
    session.synthesis.generate_at(-10, 5)
    assert "outside" in session.message
    assert not layers_of(session.viewer.layers, "synthetic")


def test_settings_of_the_generator_are_its_own(session):
    spec = session.models.generator_spec("cytosyn")
    session.synthesis.generator = "cytosyn"
    assert session.synthesis.steps == spec.steps
    assert session.synthesis.guidance == spec.guidance


def test_fast_sampling_takes_its_own_steps(session, models):
    synthesis, spec = session.synthesis, session.models.generator_spec("bundled")
    synthesis.preset = "fast"
    assert synthesis.steps == spec.fast[1]
    click(session, ON_PINK)
    synthesis.generate()
    call = models.fake_generator.calls[-1]
    assert (call["preset"], call["steps"]) == ("fast", spec.fast[1])
    synthesis.preset = "paper"
    assert synthesis.steps == spec.steps


def test_code_of_a_repository_runs_only_with_consent(session, models):
    click(session, ON_PINK)
    session.synthesis.generate()
    assert models.trusted is False
    session.synthesis.trust_remote_code = True
    session.synthesis.generate()
    assert models.trusted is True


def test_closing_leaves_no_listener(session):
    viewer = session.viewer
    click(session, ON_LANDMARK)
    session.close()
    layer = layers_of(viewer.layers, "prompts")[0]
    layer.data = np.array([[1.0, 2.0]])
    viewer.layers.clear()
    viewer.cursor.position = (1.0, 2.0)
    assert session.current is None
