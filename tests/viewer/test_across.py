"""Search over other slides from the panel: what is found, and where it leads."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import shapely
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QFileDialog

from conftest import LANDMARK, MPP, TILE, draw
from napari_pathfm.embeddings import embed_slide
from napari_pathfm.slides import open_slide
from napari_pathfm.viewer._metadata import entry, layers_of
from napari_pathfm.viewer.session import SUFFIX, InlineRunner, Session

DARK = (LANDMARK[0] + TILE / 2, LANDMARK[1] + TILE / 2)


@pytest.fixture
def elsewhere(tmp_path):
    """A folder with a slide that does not state its pixel size."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return draw(folder / "other.tif", None)


@pytest.fixture
def embedded(models, tmp_path):
    """Embed a slide into the folder of stores that is searched."""

    def embed(path, mpp=MPP, name=None):
        store = tmp_path / "study" / f"{name or path.stem}.zarr"
        with open_slide(path, mpp=mpp) as slide:
            return embed_slide(slide, models.fake_encoder, store)

    return embed


@pytest.fixture
def across(session, tmp_path, elsewhere, embedded):
    embedded(elsewhere)
    session.across.choose(tmp_path / "study", keep=False)
    return session.across


def click(session, place=DARK):
    assert session.prompt(session.current.world(*place))


def test_there_is_nothing_to_search_for_before_a_click(session, across):
    assert not across.possible
    across.search()
    assert across.tiles == []
    assert "Click tissue" in session.message
    click(session)
    assert across.possible
    assert session.message == ""


def test_the_same_tissue_is_found_on_the_other_slide(session, across, elsewhere):
    click(session)
    across.search()
    assert len(across.tiles) == 12
    first = across.tiles[0]
    assert (first.hit.x, first.hit.y) == DARK
    assert first.hit.score == pytest.approx(1, abs=1e-3)
    assert (first.slide.name, first.slide.path) == ("other", elsewhere)
    np.testing.assert_allclose(first.pixels.mean((0, 1)), (60, 40, 140), atol=4)
    scores = [tile.hit.score for tile in across.tiles]
    assert scores == sorted(scores, reverse=True)
    assert scores[1] < 0.9
    assert across.note == "12 tiles of 1 other slide, like 1 place on drawn"
    assert across.left_out == ""
    assert not across.running


def test_drawn_regions_are_searched_for_too(session, across):
    x, y = LANDMARK
    session.current.regions = {"like": shapely.box(x, y, x + TILE, y + TILE)}
    session.similarity.refresh()
    across.search()
    assert (across.tiles[0].hit.x, across.tiles[0].hit.y) == DARK
    session.across.go(0)
    session.across.back()
    centre = session.viewer.scene.camera.center[-2:]
    np.testing.assert_allclose(centre, session.current.world(*DARK))


def test_a_tile_opens_its_slide_at_its_place(session, across, elsewhere):
    click(session)
    across.search()
    first, camera = session.current, session.viewer.scene.camera
    lying_on_it = [x for x in session.viewer.layers if x is not first.layer]
    assert lying_on_it
    lying_on_it[0].visible = False
    camera.zoom = 0.01
    across.go(0)
    state = session.current
    assert state is not first
    assert state.slide.path == elsewhere
    # What a person said when it was embedded; the file says nothing.
    assert state.mpp == MPP
    assert state.slide.mpp_source == "user"
    np.testing.assert_allclose(state.layer.scale[-2:], MPP)
    np.testing.assert_allclose(camera.center[-2:], state.world(*DARK))
    shown = TILE * MPP * camera.zoom / min(session.viewer.canvas.size)
    assert shown == pytest.approx(0.2)
    assert [x.visible for x in (state.layer, first.layer, *lying_on_it)] == [
        True,
        *[False] * (1 + len(lying_on_it)),
    ]
    # The tile is framed; there is nothing of it on the other slide.
    (frame,) = layers_of(session.viewer.layers, "found")
    assert entry(frame)["fingerprint"] == state.fingerprint
    np.testing.assert_allclose(frame.data_to_world(frame.data[0]), state.world(*DARK))
    np.testing.assert_allclose(frame.size, TILE)
    # Again: it is open already, and what was looked at nearer stays so.
    camera.zoom = 50
    across.go(1)
    assert len(layers_of(session.viewer.layers, "slide")) == 2
    assert camera.zoom == 50
    hit = across.tiles[1].hit
    np.testing.assert_allclose(camera.center[-2:], state.world(hit.x, hit.y))
    assert layers_of(session.viewer.layers, "found") == [frame]
    world = frame.data_to_world(frame.data[0])
    np.testing.assert_allclose(world, camera.center[-2:])
    # What was found stays, and leads back.
    assert across.elsewhere == "drawn"
    across.back()
    assert session.current is first
    assert first.layer.visible
    assert not state.layer.visible
    assert not frame.visible
    assert [x.visible for x in lying_on_it] == [False, *[True] * (len(lying_on_it) - 1)]
    assert across.elsewhere == ""
    np.testing.assert_allclose(camera.center[-2:], first.world(*DARK))


def test_a_slide_that_is_open_is_turned_to_with_its_own_pixel_size(
    session, across, elsewhere, open_layer
):
    layer = open_layer(session.viewer, elsewhere)
    session.set_mpp(0.25)
    (first,) = [s for s in session.states() if s.layer is not layer]
    session.viewer.layers.selection.active = first.layer
    layer.visible = False
    click(session)
    across.search()
    across.go(0)
    assert session.current.layer is layer
    assert layer.visible
    assert session.current.mpp == 0.25
    centre = session.viewer.scene.camera.center[-2:]
    np.testing.assert_allclose(centre, session.current.world(*DARK))
    assert len(layers_of(session.viewer.layers, "slide")) == 2


def test_a_slide_that_is_gone_has_a_name_and_is_found_once_it_is_open(
    session, across, elsewhere, open_layer, tmp_path
):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    moved = shutil.move(elsewhere, hidden / "renamed.tif")
    click(session)
    across.search()
    assert [tile.pixels for tile in across.tiles] == [None] * 12
    assert across.tiles[0].slide.name == "other"
    assert across.left_out == "Not found, or not to be read: other."
    across.go(0)
    assert "The slide other was not found: open it" in session.message
    first = session.current
    open_layer(session.viewer, moved)
    across.go(0)
    assert session.current is not first
    assert str(session.current.slide.path) == str(moved)


def test_a_slide_that_was_moved_to_its_stores_is_found(
    session, across, elsewhere, tmp_path
):
    moved = shutil.move(elsewhere, tmp_path / "study" / "renamed.tif")
    click(session)
    across.search()
    assert across.tiles[0].slide.path == moved
    assert across.tiles[0].pixels is not None


def test_stores_that_do_not_fit_are_counted_in_one_line(
    session, across, embedded, drawn_path, models, tmp_path, monkeypatch
):
    third = draw(tmp_path / "elsewhere" / "third.tif", 0.25)
    for revision in ("other:1", "other:2"):
        monkeypatch.setattr(models.fake_encoder, "revision", revision)
        embedded(third, mpp=0.25, name=revision[-1])
    bad = tmp_path / "study" / "bad.zarr"
    bad.mkdir()
    (bad / "zarr.json").write_text("{")
    monkeypatch.undo()
    # A store of the slide itself is no other slide's.
    embedded(drawn_path)
    click(session)
    across.search()
    assert {tile.slide.name for tile in across.tiles} == {"other"}
    assert across.left_out == (
        "Left out: 2 stores of another encoder or pixel size and 1 store that cannot "
        "be read (bad.zarr)."
    )


def test_by_default_it_looks_where_the_viewer_keeps_its_own(
    session, tmp_path, elsewhere, open_layer
):
    click(session)
    session.across.search()
    assert session.across.where == tmp_path / "stores" / "embeddings"
    assert session.across.tiles == []
    assert "No other slide is embedded there" in session.across.note
    # Another slide that was clicked on in the same window can be found from here.
    first = session.current
    open_layer(session.viewer, elsewhere)
    session.set_mpp(MPP)
    click(session, (3.5 * TILE, 2.5 * TILE))
    session.viewer.layers.selection.active = first.layer
    session.across.search()
    assert (session.across.tiles[0].hit.x, session.across.tiles[0].hit.y) == DARK


def test_an_index_does_as_well(session, across, tmp_path):
    pytest.importorskip("usearch", reason="usearch is not installed: [index]")
    from napari_pathfm.embeddings import find_stores
    from napari_pathfm.heatmaps import build_index

    click(session)
    across.search()
    exact = [tile.hit[:4] for tile in across.tiles]
    build_index(find_stores([tmp_path / "study"]), tmp_path / "study.index")
    across.choose(tmp_path / "study.index", keep=False)
    across.search()
    assert across.tiles[0].hit[:4] == exact[0]
    assert len(across.tiles) == 12


def test_what_goes_wrong_is_one_line(session, across, tmp_path):
    click(session)
    across.search()
    found = across.tiles
    notification_manager.records.clear()
    across.choose(tmp_path / "absent", keep=False)
    across.search()
    assert "absent does not exist: choose a folder" in session.message
    (tmp_path / "empty").mkdir()
    across.choose(tmp_path / "empty", keep=False)
    across.search()
    assert "holds no embedding store" in session.message
    assert "\n" not in session.message
    assert across.tiles is found


class Later(InlineRunner):
    """Does work when it is told to."""

    waiting = None

    def start(self, work, job, ended):
        if job.title != "Searching other slides":
            super().start(work, job, ended)
            return
        self.waiting = lambda: super(Later, self).start(work, job, ended)


def test_it_can_be_stopped(models, tmp_path, drawn_path, open_layer, embedded):
    embedded(draw(tmp_path / "other.tif", None))
    viewer, runner = ViewerModel(), Later()
    open_layer(viewer, drawn_path)
    session = Session(viewer, runner, models=models, cache=tmp_path / "stores")
    session.across.choose(tmp_path / "study", keep=False)
    click(session)
    session.across.search()
    assert session.across.running
    # One at a time.
    assert not session.across.possible
    session.across.cancel()
    runner.waiting()
    assert session.across.job.state == "cancelled"
    assert session.across.tiles == []
    assert "stopped" in session.message
    assert session.across.possible
    session.close()


def test_a_session_file_remembers_where(session, across, models, tmp_path):
    path = tmp_path / f"work{SUFFIX}"
    session.save(path)
    again = Session(ViewerModel(), models=models, cache=tmp_path / "stores")
    assert again.restore(path) == []
    assert again.across.where == tmp_path / "study"
    again.close()
    shutil.rmtree(tmp_path / "study")
    again = Session(ViewerModel(), models=models, cache=tmp_path / "stores")
    (line,) = again.restore(path)
    assert "study, are not there: choose others" in line
    assert again.across.where == tmp_path / "stores" / "embeddings"
    again.close()


def test_preferences_remember_where(session, plugin_settings, tmp_path):
    session.across.choose(tmp_path)
    session.across.chosen = None
    assert session.across.where == tmp_path


def test_the_row_shows_what_is_found_and_leads_there(
    window, elsewhere, embedded, tmp_path, monkeypatch
):
    row = window.panel.similarity.across
    assert not row.button.isEnabled()
    assert not row.tiles.isVisibleTo(window.panel)
    assert not row.back.isVisibleTo(window.panel)
    embedded(elsewhere)
    study = str(tmp_path / "study")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: study)
    row.folder.trigger()
    assert row.where.text() == "study"
    click(window.session)
    window.until_heatmap()
    window.press(row.button)
    window.until(lambda: bool(window.session.across.tiles))
    assert row.tiles.isVisibleTo(window.panel)
    assert row.button.isEnabled()
    button = row.tiles.buttons[0]
    assert button.text() == "1.000"
    assert button.toolTip().startswith("other: similarity 1.000 at x 560, y 784 px.")
    assert "12 tiles of 1 other slide" in row.note.text()
    window.press(button)
    assert window.session.current.slide.name == "other"
    assert row.back.isVisibleTo(window.panel)
    # The canvas shows the landmark, and the panel is about its slide.
    height, width = window.picture().shape[:2]
    middle = window.picture()[height // 2, width // 2]
    np.testing.assert_allclose(middle, (60, 40, 140), atol=12)
    assert window.panel.slide.name.text() == "other"
    window.press(row.back)
    assert window.session.current.slide.name == "drawn"
    assert not row.back.isVisibleTo(window.panel)
    assert entry(window.viewer.layers.selection.active)["kind"] == "slide"
    # Where the slide has gone, its name stands for the picture.
    window.viewer.layers.remove("other")
    elsewhere.unlink()
    window.press(row.button)
    window.until(lambda: window.session.across.tiles[0].pixels is None)
    window.settle()
    assert "not found" in button.toolTip()
    assert not button.icon().isNull()
    assert "Not found, or not to be read: other." in row.note.text()
