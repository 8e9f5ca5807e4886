"""Published models in the window, from folders that a person downloaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from published_generator import publish
from safetensors.torch import save_file

from napari_pathfm.errors import WeightsError
from napari_pathfm.viewer.session import Models, Session


@pytest.fixture
def folders(tmp_path, monkeypatch, h0_mini_folder, cytosyn_folder):
    """Random weights in the published layouts, called as the repositories are."""
    (tmp_path / "H0-mini").symlink_to(h0_mini_folder[0])
    (tmp_path / "CytoSyn").symlink_to(cytosyn_folder)
    monkeypatch.setenv("NAPARI_PATHFM_WEIGHTS", str(tmp_path))


@pytest.mark.slow
def test_a_click_uses_h0_mini_and_cytosyn_from_their_folders(
    folders, open_layer, drawn_path, tmp_path
):
    """The session does its work at once here: it is the window's, less the window."""
    from napari.components import ViewerModel

    viewer = ViewerModel()
    open_layer(viewer, drawn_path)
    session = Session(viewer, models=Models(), cache=tmp_path / "stores")
    session.similarity.encoder = "h0-mini"
    assert session.prompt(session.current.world(500, 600))
    layer = session.similarity.layer
    assert layer is not None, session.message
    told = layer.metadata["napari_pathfm"]["provenance"]
    assert told["encoder"] == "h0-mini"
    assert told["weights_revision"].startswith("local:")

    synthesis = session.synthesis
    synthesis.generator = "cytosyn"
    synthesis.n, synthesis.steps = 1, 2
    synthesis.generate()
    assert synthesis.result is None
    assert "--trust-remote-code" in session.message or "agree" in session.message
    synthesis.trust_remote_code = True
    synthesis.generate()
    assert synthesis.result is not None, session.message
    provenance = synthesis.result.images[0].provenance
    assert (provenance.generator, provenance.encoder) == ("cytosyn", "h0-mini")
    session.close()


def test_a_folder_that_is_gone_is_said_so(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_PATHFM_WEIGHTS", str(tmp_path / "gone"))
    with pytest.raises(WeightsError, match="does not exist"):
        Models().encoder("h0-mini")


SPEC = """
name = "mine"
title = "My own ViT"
weights = "mine.safetensors"
tile_px = 224
mpp = {mpp}
mean = [0.5, 0.5, 0.5]
std = [0.2, 0.2, 0.2]
arguments = {{patch_size = 56, embed_dim = 24, depth = 1, num_heads = 2}}
"""


def test_an_encoder_of_ones_own_is_offered_and_answers_a_click(
    open_layer, drawn_path, tmp_path
):
    from napari.components import ViewerModel
    from napari.utils.notifications import notification_manager

    from napari_pathfm.encoders import read_encoder_spec
    from napari_pathfm.encoders._vit import build_vit

    folder = Path(os.environ["NAPARI_PATHFM_CONFIG"]) / "encoders"
    folder.mkdir()
    path = folder / "mine.toml"
    path.write_text(SPEC.format(mpp=0.5))
    (folder / "broken.toml").write_text("name = 3")
    network = build_vit(read_encoder_spec(path))
    save_file(network.state_dict(), folder / "mine.safetensors")

    def clicked() -> Path:
        viewer = ViewerModel()
        open_layer(viewer, drawn_path)
        session = Session(viewer, models=Models(), cache=tmp_path / "stores")
        titles = [c.title for c in session.models.encoder_choices()]
        assert titles[-1] == "My own ViT"
        session.similarity.encoder = "mine"
        # Changed after the list was made: what was offered is what answers.
        path.write_text(SPEC.format(mpp=-1))
        assert session.prompt(session.current.world(500, 600))
        assert session.similarity.layer is not None, session.message
        store = session.similarity.store_path
        session.close()
        return store

    notification_manager.records.clear()
    first = clicked()
    (said,) = [r.message for r in notification_manager.records]
    assert "broken.toml: name: must be text" in said
    # Seen at another size of pixels it is another encoder, and has its own store.
    path.write_text(SPEC.format(mpp=1.0))
    second = clicked()
    assert first != second
    assert first.exists()
    assert second.exists()


def test_a_precision_that_was_refused_is_said(monkeypatch):
    from napari.utils.notifications import notification_manager

    module = "napari_pathfm.encoders._precision"
    monkeypatch.setattr(
        f"{module}.advised_precision", lambda device: ("bf16", "a test")
    )
    monkeypatch.setattr(f"{module}.FAITHFUL", 1.1)
    notification_manager.records.clear()
    models = Models()
    assert models.encoder("bundled").precision.name == "fp32"
    assert models.encoder("bundled").precision.refused == "bf16"
    (said,) = [r.message for r in notification_manager.records]
    assert "bf16 was refused: cosine" in said


def test_the_preferences_say_what_computes(monkeypatch):
    monkeypatch.setattr(
        "napari_pathfm.viewer.session._models.preference",
        lambda group, key: {("computing", "engine"): "openvino"}.get((group, key), ""),
    )
    assert Models().encoder("bundled").engine == "openvino"


def test_a_generator_of_ones_own_is_offered():
    from napari.utils.notifications import notification_manager

    folder = Path(os.environ["NAPARI_PATHFM_CONFIG"]) / "generators"
    publish(folder / "mine", "mine")
    (folder / "empty").mkdir()
    notification_manager.records.clear()
    models = Models()
    assert models.generator_choices()[-1].title == "Made here"
    assert models.generator_spec("mine").folder == folder / "mine"
    assert models.generator("mine").spec.name == "mine"
    (said,) = [r.message for r in notification_manager.records]
    assert "left out" in said
