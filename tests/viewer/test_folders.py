"""Published models in the window, from folders that a person downloaded."""

from __future__ import annotations

import pytest

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
