"""Session files: what comes back, what may have moved, what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from napari.components import ViewerModel

from conftest import LANDMARK, MPP, TILE, draw
from napari_pathfm.errors import SessionError
from napari_pathfm.exports import QuPathObject, objects_to_layers, read_geojson
from napari_pathfm.viewer._metadata import entry, kind_of, layers_of
from napari_pathfm.viewer.session import (
    SUFFIX,
    Autosave,
    Bulk,
    Prompt,
    Session,
    read_session,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def other(models, tmp_path):
    """Make further sessions in empty viewers."""
    made = []

    def make() -> Session:
        made.append(Session(ViewerModel(), models=models, cache=tmp_path / "stores"))
        return made[-1]

    yield make
    for session in made:
        session.close()


@pytest.fixture
def full(session):
    """Prompts, a heatmap, two synthetic images, a drawn polygon, and settings."""
    session.prompt(session.current.world(LANDMARK[0] + 100, LANDMARK[1] + 90))
    session.prompt(session.current.world(4.5 * TILE, 2.5 * TILE), "unlike")
    session.synthesis.n, session.synthesis.seed, session.synthesis.steps = 2, 7, 1
    session.synthesis.generate()
    slide = session.current.layer
    session.viewer.add_shapes(
        [np.array([[9.5, 19.5], [9.5, 99.5], [49.5, 99.5], [49.5, 19.5]])],
        name="mine",
        scale=slide.scale,
        units=slide.units,
        features={"class": ["Tumor"], "score": [0.25]},
        opacity=0.5,
        visible=False,
    )
    session.viewer.scene.camera.center = (0.0, 300.0, 400.0)
    session.viewer.scene.camera.zoom = 1.5
    return session


def test_all_comes_back(full, other, tmp_path):
    path = tmp_path / f"work{SUFFIX}"
    assert full.save(path) == []
    again = other()
    assert again.restore(path) == []
    assert again.current.fingerprint == full.current.fingerprint
    assert again.current.prompts.items == full.current.prompts.items
    for name in ("n", "seed", "steps", "frames", "guidance", "generator", "preset"):
        assert getattr(again.synthesis, name) == getattr(full.synthesis, name)
    assert again.similarity.overlap == full.similarity.overlap
    # The heatmap is made again, of the store that is on disk already.
    (before,) = layers_of(full.viewer.layers, "heatmap")
    (after,) = layers_of(again.viewer.layers, "heatmap")
    np.testing.assert_array_equal(after.data, before.data)
    (before,) = layers_of(full.viewer.layers, "synthetic")
    (after,) = layers_of(again.viewer.layers, "synthetic")
    np.testing.assert_array_equal(after.data, before.data)
    np.testing.assert_allclose(after.scale, before.scale)
    np.testing.assert_allclose(after.translate, before.translate, atol=1e-9)
    assert after.name == before.name
    assert entry(after)["provenance"] == entry(before)["provenance"]
    mine = next(x for x in again.viewer.layers if x.name == "mine")
    assert (mine.visible, mine.opacity) == (False, 0.5)
    assert mine.features["score"][0] == 0.25
    assert mine.features["class"][0] == "Tumor"
    corners = np.array([mine.data_to_world(point) for point in mine.data[0]])
    assert corners.min(axis=0) == pytest.approx([9.5 * MPP, 19.5 * MPP])
    assert corners.max(axis=0) == pytest.approx([49.5 * MPP, 99.5 * MPP])
    assert again.viewer.scene.camera.center[-2:] == (300.0, 400.0)
    assert again.viewer.scene.camera.zoom == 1.5
    # Saved again it is the same, and nothing is left beside it.
    second = tmp_path / "second" / f"work{SUFFIX}"
    again.save(second)
    for one, two in zip(
        read_session(path)["slides"], read_session(second)["slides"], strict=True
    ):
        assert {**one, "relative": ""} == {**two, "relative": ""}
    assert read_session(path)["prompts"] == read_session(second)["prompts"]


def test_objects_keep_their_ids(session, other, tmp_path):
    import shapely

    found = [
        QuPathObject(
            shapely.Point(500 + 40 * n, 600).buffer(15),
            object_type="detection",
            id=f"00000000-0000-0000-0000-{n:012d}",
            classification="Tumor",
            measurements={"area": 1.5 * n},
        )
        for n in range(5)
    ]
    facts = {"fingerprint": session.current.fingerprint}
    for most in (10, 0):
        for data, attributes, kind in objects_to_layers(
            found, mpp=MPP, entry=facts, most_shapes=most
        ):
            getattr(session.viewer, f"add_{kind}")(data, **attributes)
    path = tmp_path / f"work{SUFFIX}"
    assert session.save(path) == []
    again = other()
    assert again.restore(path) == []
    layers = [x for x in again.viewer.layers if kind_of(x) == "objects"]
    assert [x._type_string for x in layers] == ["shapes", "labels"]
    for layer in layers:
        out = tmp_path / "out.geojson"
        layer.save(str(out), plugin="napari-pathfm")
        for one, two in zip(read_geojson(out), found, strict=True):
            assert (one.id, one.measurements) == (two.id, two.measurements)
            same = shapely.normalize(one.geometry)
            assert same.equals_exact(shapely.normalize(two.geometry), 0.01)


def test_areas_and_drawings_have_the_same_ids_after_a_session(session, other, tmp_path):
    def ids(own):
        layers, path = own.viewer.layers, tmp_path / "out.geojson"
        layers.selection = {
            layer
            for layer in layers
            if kind_of(layer) in ("slide", "labels") or layer.name.startswith("mine")
        }
        layers.save(str(path), selected=True, plugin="napari-pathfm")
        return {one.id: one.classification for one in read_geojson(path)}

    for name in ("Tumour", "Stroma"):
        session.classes.list.add(name)
    labels = session.classes.brush.make_layer(session.current)
    labels.data_setitem((np.array([3, 3, 9]), np.array([4, 5, 9])), [1, 1, 2])
    slide = session.current.layer
    square = np.array([[9.5, 19.5], [9.5, 99.5], [49.5, 99.5], [49.5, 19.5]])
    session.viewer.add_shapes(
        [square], name="mine", scale=slide.scale, units=slide.units
    )
    before = ids(session)
    assert sorted(map(str, before.values())) == ["None", "Stroma", "Tumour"]
    assert ids(session) == before
    path = tmp_path / f"work{SUFFIX}"
    session.save(path)
    again = other()
    again.restore(path)
    assert ids(again) == before
    # Some more of the same class is the same area.
    labels = again.classes.brush.layer(again.current)
    labels.data_setitem((np.array([3]), np.array([6])), 1)
    assert ids(again) == before


def test_a_moved_slide_is_found_by_its_fingerprint(session, other, tmp_path):
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    slide = draw(home / "slide.tif", MPP)
    draw(home / "decoy.tif", 0.25)
    moved = other()
    from napari_pathfm.viewer._reader import read_slide

    ((data, keywords, _),) = read_slide(slide)
    moved.viewer.add_image(data, **keywords)
    moved.current.prompts.add(500, 700)
    path = home / f"work{SUFFIX}"
    moved.save(path)
    # Both move together.
    home.rename(away)
    (line,) = other().restore(away / path.name)
    assert str(away / "slide.tif") in line
    # The slide has got another name, and another one has taken its own.
    (away / "slide.tif").rename(away / "renamed.tif")
    (away / "decoy.tif").rename(away / "slide.tif")
    renamed = other()
    (line,) = renamed.restore(away / path.name)
    assert "renamed.tif" in line
    assert renamed.current.prompts.items == (Prompt(500, 700),)
    # It is gone: that is said, and what belongs to it waits in the session.
    kept = tmp_path / "kept.tif"
    (away / "renamed.tif").rename(kept)
    lost = other()
    (line,) = lost.restore(away / path.name)
    assert "was not found" in line
    assert "\n" not in line
    second = away / f"second{SUFFIX}"
    lost.save(second)
    assert read_session(second)["prompts"] == read_session(away / path.name)["prompts"]
    ((data, keywords, _),) = read_slide(kept)
    lost.viewer.add_image(data, **keywords)
    assert lost.current.prompts.items == (Prompt(500, 700),)


def test_parts_may_add_sections_and_unknown_ones_are_kept(session, other, tmp_path):
    class Notes:
        name = "notes"

        def write(self, session, bulk):
            return [
                "Tumor",
                bulk.keep(b"weights", ".npz", lambda p: p.write_bytes(b"x")),
            ]

        def read(self, session, data, bulk):
            assert bulk.file(data[1]).read_bytes() == b"x"
            session.notes = data[0]
            return ["one line"]

    path, second = tmp_path / f"work{SUFFIX}", tmp_path / f"second{SUFFIX}"
    session.sections.append(Notes())
    session.save(path)
    without = other()
    without.restore(path)
    without.save(second)
    assert read_session(second)["notes"] == read_session(path)["notes"]
    having = other()
    having.sections.append(Notes())
    assert having.restore(path) == ["one line"]
    assert having.notes == "Tumor"


HOSTILE = {
    "empty": "",
    "truncated": '{"format": "napari-pathfm session", "version": 1, "sections": {"pro',
    "no JSON": "import os; os.system('touch executed')",
    "deep": "[" * 100_000,
    "a list": "[]",
    "GeoJSON": '{"type": "FeatureCollection", "features": []}',
    "of later": '{"format": "napari-pathfm session", "version": 2, "sections": {}}',
    "no sections": '{"format": "napari-pathfm session", "version": 1, "sections": []}',
    "binary": "\udcff\udcfe",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_session_is_one_line(session, tmp_path, name):
    path = tmp_path / f"bad{SUFFIX}"
    path.write_text(HOSTILE[name], encoding="utf-8", errors="surrogateescape")
    before = list(session.viewer.layers), session.current.prompts.items
    with pytest.raises(SessionError, match=path.name) as caught:
        session.restore(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert (list(session.viewer.layers), session.current.prompts.items) == before
    with pytest.raises(SessionError, match="no session file"):
        session.restore(tmp_path / "absent.json")


def test_damaged_sections_are_left_out_and_the_rest_comes(full, other, tmp_path):
    path = tmp_path / f"work{SUFFIX}"
    full.save(path)
    whole = json.loads(path.read_text())
    wrong = {
        "slides": [[], "x", [{"path": 1}], None],
        "prompts": [7, {"a": [[1, 2]]}, {"a": [[1, 2, "__import__"]]}],
        "settings": [
            {},
            None,
            {"similarity": {}, "synthesis": {"n": 1e400}},
            whole["sections"]["settings"] | {"similarity": {"overlap": 3}},
        ],
        "layers": [{}, [{}], "x"],
        "view": [[], {"center": ["a", 1], "zoom": 1, "slide": ""}],
    }
    for name, values in wrong.items():
        for value in values:
            path.write_text(
                json.dumps(whole | {"sections": whole["sections"] | {name: value}})
            )
            again = other()
            told = again.restore(path)
            assert all("\n" not in line and len(line) < 400 for line in told)
            if name != "slides":
                assert again.current is not None
            if value not in ([],) or name == "view":
                assert any(name in line for line in told), (name, value, told)


def test_a_session_names_no_file_outside_its_folder(full, other, tmp_path):
    path = tmp_path / f"work{SUFFIX}"
    full.save(path)
    secret = tmp_path / "secret.geojson"
    secret.write_text('{"type": "FeatureCollection", "features": []}')
    whole = json.loads(path.read_text())
    folder = Bulk(path).folder
    link = folder / ("0" * 32 + ".geojson")
    link.symlink_to(secret)
    for name in ("../secret.geojson", str(secret), link.name, 7, ["a"], "a.py"):
        layers = [
            {
                "name": "x",
                "visible": True,
                "opacity": 1,
                "kind": "objects",
                "type": "shapes",
                "file": name,
                "entry": {},
            }
        ]
        path.write_text(
            json.dumps(whole | {"sections": whole["sections"] | {"layers": layers}})
        )
        again = other()
        (line,) = again.restore(path)
        assert "'x' was left out" in line
        assert not any(x.name == "x" for x in again.viewer.layers)
    # Permission to run a repository's code is nothing that a file can give.
    assert "trust_remote_code" not in json.dumps(whole)
    assert again.synthesis.trust_remote_code is False


def test_foreign_layers_are_told_and_do_not_stop_the_rest(full, tmp_path):
    full.viewer.add_image(np.zeros((4, 4)), name="photo")
    path = tmp_path / f"work{SUFFIX}"
    (line,) = full.save(path)
    assert "'photo' was not kept" in line
    assert len(read_session(path)["layers"]) == 2
    with pytest.raises(SessionError, match="must end in"):
        full.save(tmp_path / "work.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(SessionError, match="cannot be written"):
        full.save(tmp_path / "file" / f"work{SUFFIX}")


def test_what_is_no_longer_shown_leaves_the_folder(full, tmp_path):
    path = tmp_path / f"work{SUFFIX}"
    full.save(path)
    before = {file.name for file in Bulk(path).folder.iterdir()}
    full.save(path)
    assert {file.name for file in Bulk(path).folder.iterdir()} == before
    full.viewer.layers.remove(next(x for x in full.viewer.layers if x.name == "mine"))
    full.save(path)
    after = {file.name for file in Bulk(path).folder.iterdir()}
    assert after < before
    assert not any(name.endswith(".geojson") for name in after)


def test_a_crash_is_offered_once(full, other):
    autosave = Autosave(full)
    assert autosave.save()
    assert not autosave.save()
    full.current.prompts.add(700, 800)
    assert autosave.save()
    # This very process runs: nothing to offer, to it or to another window.
    assert Autosave(other()).recovery() is None
    died = autosave.path.with_name(autosave.path.name.replace(str(os.getpid()), "1"))
    assert not psutil.pid_exists(2**22 + 1)
    shutil.copytree(Bulk(autosave.path).folder, Bulk(died).folder)
    shutil.copy(autosave.path, died)
    autosave.close()
    assert not autosave.path.exists()
    assert not Bulk(autosave.path).folder.exists()
    again = other()
    new = Autosave(again)
    offer = new.recovery()
    assert offer is not None
    assert new.recovery() is None
    assert again.restore(offer.path) == []
    assert again.current.prompts.items == full.current.prompts.items
    new.discard(offer)
    assert not list(offer.path.parent.iterdir())


def test_an_empty_session_is_not_kept(other):
    autosave = Autosave(other())
    assert not autosave.save()
    assert not autosave.path.exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_kills_during_autosave_lose_nothing():
    """As `benchmarks/sessions.py` measures it, on fewer kills."""
    program = ROOT / "benchmarks" / "sessions.py"
    done = subprocess.run(
        [sys.executable, str(program), "--kills", "10"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "10 kills" in done.stdout
    assert "lost 0" in done.stdout
