"""The script of a session: replayed without a window it gives the same, bit for bit."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
from replay import replay

from conftest import LANDMARK, TILE
from napari_pathfm.encoders import load_encoder
from napari_pathfm.evaluation import Head, save_head
from napari_pathfm.evaluation._abmil import Abmil
from napari_pathfm.viewer._imports import import_models
from napari_pathfm.viewer._metadata import entry, layers_of
from napari_pathfm.viewer.session import SUFFIX, Models, Prompt, Session, _virtual_queue
from napari_pathfm.viewer.session._script_code import Items, Step, call
from napari_pathfm.viewer.session._script_section import ScriptSection

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def real(tmp_path, drawn_path, open_layer):
    """A session with the bundled models, in which everything was done once."""
    viewer = ViewerModel()
    open_layer(viewer, drawn_path)
    session = Session(viewer, models=Models(), cache=tmp_path / "cache")
    yield session
    session.close()


def paint(session, place, label):
    layer = session.classes.brush.make_layer(session.current)
    stride = entry(layer)["stride"]
    layer.paint((place[1] / stride - 0.5, place[0] / stride - 0.5), label)


def draw_on(session, name, corners, kind="rectangle"):
    slide = session.current.layer
    places = np.array([(y - 0.5, x - 0.5) for x, y in corners])
    session.viewer.add_shapes(
        [places], shape_type=kind, name=name, scale=slide.scale, units=slide.units
    )


def work(session, out: Path, head: Path) -> None:
    """Click, draw, label, generate, look, export: what a person does in the window."""
    dark = LANDMARK[0] + 100.0, LANDMARK[1] + 90.0
    session.prompt(session.current.world(700.0, 700.0))
    session.prompt(session.current.world(*dark))
    session.current.prompts.replace(session.current.prompts.items[1:])
    session.prompt(session.current.world(4.5 * TILE, 2.5 * TILE), "unlike")
    corners = [(1000, 450), (1330, 450), (1330, 1000), (1000 + 1 / 3, 900)]
    draw_on(session, "Like", corners, "polygon")
    label(session, dark)
    synthesis = session.synthesis
    synthesis.n, synthesis.frames, synthesis.steps, synthesis.seed = 1, 2, 1, 5
    synthesis.generate()
    session.compare.difference()
    session.steering.begin()
    draw_on(session, "Repair", [(520, 700), (620, 700), (620, 800), (520, 800)])
    session.repairs.begin()
    session.head.use(head)
    (heatmap,) = layers_of(session.viewer.layers, "heatmap")
    (classes,) = layers_of(session.viewer.layers, "classes")
    maps = layers_of(session.viewer.layers, "map")
    heatmap.name = "like the dark square"
    tissue = layers_of(session.viewer.layers, "synthetic")
    assert len(tissue) == 3
    out.mkdir()
    heatmap.save(str(out / "map.ome.tif"), plugin="napari-pathfm")
    maps[-1].save(str(out / "head.ome.tif"), plugin="napari-pathfm")
    session.viewer.layers.selection = {session.current.layer, heatmap, classes}
    session.viewer.layers.save(
        str(out / "all.geojson"), selected=True, plugin="napari-pathfm"
    )
    tissue[0].save(str(out / "tissue.synthetic.png"), plugin="napari-pathfm")
    tissue[-1].save(str(out / "tissue.ome.zarr"), plugin="napari-pathfm")
    session.classes.save(out / "classes.json")


def label(session, dark) -> None:
    for name in ("tumour", "stroma"):
        session.classes.list.add(name)
    session.classes.list.recolor(0, (1, 2, 3))
    session.classes.paint()
    paint(session, dark, 1)
    for row in (1.5, 2.5, 3.5):
        paint(session, (1.5 * TILE, row * TILE), 2)


@pytest.fixture
def head_file(tmp_path) -> Path:
    """A head for the bundled encoder that has learned nothing."""
    # Beside a window PyTorch has to be brought in with care.
    import_models()
    encoder = load_encoder("bundled")
    told = {
        "encoder": "bundled",
        "weights_revision": encoder.revision,
        "pooling": encoder.pooling,
        "mpp": encoder.spec.mpp,
        "tile_px": encoder.spec.tile_px,
    }
    about = {"features": told, "slides": 8}
    network = Abmil(encoder.spec.dim, 2).eval()
    save_head(Head((network,), ("benign", "tumour"), about), tmp_path / "head.st")
    return tmp_path / "head.st"


def contents(folder: Path) -> dict[str, object]:
    """What the files of a folder say, but for the id that OME has of each writing."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".tif":
            with tifffile.TiffFile(path) as tif:
                told = re.sub(r'UUID="[^"]*"', "", tif.ome_metadata or "")
                found[name] = told, [page.asarray().tobytes() for page in tif.pages]
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def test_a_replayed_script_gives_what_the_session_had(real, head_file, tmp_path):
    out, again = tmp_path / "out", tmp_path / "again"
    work(real, out, head_file)
    again.mkdir()
    (again / "out").mkdir()
    script = real.script.text()
    said = replay(real, script.replace(str(out), str(again / "out")), again)
    assert sorted(said) == [
        "apart",
        "attended[0].values",
        "attended[1].values",
        "attended[2].values",
        "class_maps.chances",
        "likeness.values",
        "repaired.pixels",
        "steered.pixels",
        "variants.pixels",
    ]
    assert set(said.values()) == {"identical"}
    before, after = contents(out), contents(again / "out")
    assert list(before) == list(after)
    assert len(before) > 6
    for name, content in before.items():
        assert after[name] == content, name
    # Kept in a session file it is the same script.
    real.save(tmp_path / f"work{SUFFIX}")
    back = Session(ViewerModel(), models=Models(), cache=tmp_path / "cache")
    back.restore(tmp_path / f"work{SUFFIX}")
    kept = [name for name in steps_of(real) if name != "apart"]
    assert sorted(steps_of(back)) == sorted(kept)
    back.close()


def steps_of(session) -> list[str]:
    return [one.step.name for one in session.script.now().values()]


def test_only_what_made_the_present_results_is_in_it(session):
    for place in ((700.0, 700.0), (720.0, 700.0), (740.0, 700.0)):
        session.current.prompts.replace([Prompt(*place)])
    session.similarity.overlap = 2
    session.synthesis.n, session.synthesis.steps = 1, 1
    session.synthesis.generate()
    session.synthesis.seed = 3
    session.synthesis.generate()
    assert steps_of(session) == ["slide", "store", "likeness", "variants", "variants"]
    text = session.script.text()
    ast.parse(text)
    assert max(len(line) for line in text.splitlines() if "STORES" not in line) <= 88
    assert "740.0" in text
    assert "720.0" not in text
    assert "stride=112.0" in text
    assert "stride=224.0" not in text
    assert text.count("similarity(") == 1
    # What is taken back leaves the script, and comes back with its layer.
    first, second = layers_of(session.viewer.layers, "synthetic")
    session.viewer.layers.remove(first)
    session.current.prompts.clear()
    assert steps_of(session) == ["slide", "store", "variants"]
    assert "seed=3" in session.script.text()
    assert "seed=0" not in session.script.text()
    session.viewer.add_layer(first)
    assert "seed=0" in session.script.text()
    session.viewer.layers.remove(second)
    assert "seed=3" not in session.script.text()


def test_a_run_that_failed_leaves_no_call_for_what_is_drawn_still(session, models):
    session.current.prompts.replace([Prompt(700.0, 700.0)])
    models.broken = "no weights"
    session.similarity.overlap = 2
    assert layers_of(session.viewer.layers, "heatmap")
    assert "likeness" not in steps_of(session)
    models.broken = None
    session.similarity.refresh()
    assert steps_of(session)[-1] == "likeness"


def test_a_typed_pixel_size_is_in_it(models, tmp_path, unknown_mpp_path, open_layer):
    viewer = ViewerModel()
    open_layer(viewer, unknown_mpp_path)
    session = Session(viewer, models=models, cache=tmp_path / "stores")
    assert "mpp=" not in session.script.text()
    session.set_mpp(0.5)
    assert "mpp=0.5" in session.script.text()
    assert session.script.text().count("open_slide(") == 1
    session.close()


def test_all_that_is_made_has_its_call(session, models, monkeypatch):
    # Areas take their time, and what they look like is not asked here.
    def area(slide, box, generator, encoder, **settings):
        place = box[0] + TILE / 2, box[1] + TILE / 2
        return models.vary(slide, [place], generator, encoder, n=1, **settings)

    monkeypatch.setattr(models, "twin", area)
    monkeypatch.setattr(models, "extend", area)
    monkeypatch.setattr(_virtual_queue, "in_view", lambda *_: None)
    session.prompt(session.current.world(LANDMARK[0] + 90, LANDMARK[1] + 90))
    session.prompt(session.current.world(4.5 * TILE, 2.5 * TILE))
    synthesis = session.synthesis
    synthesis.n, synthesis.frames, synthesis.steps = 1, 2, 1
    synthesis.walk()
    session.fidelity.begin()
    box = [(450, 450), (900, 450), (900, 900), (450, 900)]
    draw_on(session, "Twin", box)
    session.twins.begin()
    draw_on(session, "Extend", box)
    session.extensions.begin()
    session.virtual.begin()
    made = {"walked", "trusted", "twinned", "extended", "virtual"}
    assert made <= set(steps_of(session))
    text = session.script.text()
    names = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
    assert made <= names
    (box_told,) = re.findall(r"twin\(\n    slide,\n    (\(.*\)),", text)
    assert ast.literal_eval(box_told) == pytest.approx((450, 450, 450, 450))
    calls = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call)]
    (trust,) = [n for n in calls if ast.unparse(n.func) == "trust"]
    assert ast.unparse(trust.args[0]) == "walked.images[0]"


def test_what_was_drawn_and_written_is_told(session, tmp_path):
    draw_on(session, "mine", [(450, 450), (900, 450), (900, 900), (450, 900)])
    session.viewer.layers.selection = {session.current.layer, session.viewer.layers[-1]}
    session.viewer.layers.save(
        str(tmp_path / "mine.geojson"), selected=True, plugin="napari-pathfm"
    )
    text = session.script.text()
    ast.parse(text)
    assert "mine.geojson" in text
    assert "export_layers_geojson" not in text
    # Another viewer's layers are not this session's.
    ViewerModel().add_points([[1, 2]], name="else").save(
        str(tmp_path / "else.geojson"), plugin="napari-pathfm"
    )
    assert "else.geojson" not in session.script.text()


@pytest.mark.parametrize(
    "value",
    [
        ["call", "os.system", ["x"], []],
        ["call", "slides.open_slide", ["x"], [["a=1)\nimport os\n(", 1]]],
        ["call", "slides.open_slide", [{"a": 1}], []],
        ["call", "slides.open_slide", [float("nan")], []],
        ["get", ["step", 0], "__class__"],
        ["method", ["step", 0], "unlink", [], []],
        ["stored", "../../elsewhere"],
        ["step", 5],
        ["what", 1],
    ],
)
def test_a_session_file_cannot_put_other_code_into_it(session, value):
    before = session.script.text()
    data = {
        "steps": [
            ["slide", ["call", "slides.open_slide", ["a.svs"], []]],
            ["written", value],
        ],
        "actions": [["written x", ["step", 1], None, "", False]],
    }
    with pytest.raises((ValueError, TypeError)):
        list(ScriptSection().read(session, data, None))
    assert session.script.text() == before


def test_texts_and_names_stay_texts(session):
    evil = "a\"\n'''import os\\"
    step = Step("written", call("exports.write_each", evil, Items((evil,))))
    session.script.record("written x", step)
    session.script.record("written y", Step("by_hand", Items((evil, evil))))
    tree = ast.parse(session.script.text())
    found = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    assert found.count(evil) == 2
    imported = [n for n in ast.walk(tree) if isinstance(n, ast.Import)]
    assert all(alias.name == "torch" for n in imported for alias in n.names)


def test_the_dialog_follows_copies_and_saves(window, tmp_path):
    bar = window.panel.sessions
    window.press(bar.script_button)
    dialog = bar.script
    assert "open_slide" in dialog.text.toPlainText()
    assert dialog.text.isReadOnly()
    window.session.current.prompts.add(LANDMARK[0] + 50, LANDMARK[1] + 50)
    window.until_heatmap()
    window.until(lambda: "similarity(" in dialog.text.toPlainText())
    window.press(dialog.copy)
    assert QApplication.clipboard().text() == window.session.script.text()
    dialog.save_to(tmp_path / "done.py")
    assert (tmp_path / "done.py").read_text() == window.session.script.text()
    dialog.save_to(tmp_path / "no" / "done.py")
    assert "cannot be written" in dialog.said.text()
    assert [path.name for path in tmp_path.glob("*done*")] == ["done.py"]
    window.panel.shut()
    assert not dialog.isVisible()
