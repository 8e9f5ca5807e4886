"""The synthetic tile that is shown is compared with its slide, in the window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conftest import LANDMARK, TILE
from napari_pathfm.viewer.panel._fidelity_row import trust_text

PLACE = (LANDMARK[0] + TILE / 2, LANDMARK[1] + TILE / 2)


def test_the_shown_image_is_compared_and_its_likes_lead_to_their_place(window):
    panel, session = window.panel, window.session
    row = panel.synthesis.fidelity
    assert not row.isVisibleTo(panel)
    session.synthesis.generate_at(*PLACE)
    window.qtbot.waitUntil(lambda: session.synthesis.result is not None, timeout=20_000)
    window.qtbot.waitUntil(lambda: not panel.runner.busy, timeout=20_000)
    assert row.isVisibleTo(panel)
    window.viewer.dims.set_current_step(0, 2)
    row.button.click()
    window.qtbot.waitUntil(lambda: session.fidelity.trust is not None, timeout=60_000)
    found = session.fidelity.trust
    assert session.fidelity.step == 2
    assert row.text.text().startswith("Image 3: Not nearer to a real tile")
    assert "No second encoder" in row.text.text()
    assert sum(b.isVisibleTo(panel) for b in row.buttons) == len(found.nearest)
    row.buttons[1].click()
    one = found.nearest[1]
    centre = window.viewer.scene.camera.center[-2:]
    np.testing.assert_allclose(centre, session.current.world(one.x, one.y))
    # Another result: what was said of this one goes.
    session.synthesis.generate_at(*PLACE)
    window.qtbot.waitUntil(lambda: not panel.runner.busy, timeout=20_000)
    assert session.fidelity.trust is None
    assert not row.text.isVisibleTo(panel)


def test_a_copy_and_a_second_encoder_are_said(session):
    session.synthesis.generate_at(*PLACE)
    state, result = session.current, session.synthesis.result
    x, y, *_ = result.box
    real = state.slide.read(x, y, TILE, TILE, mpp=0.5)
    result.images[0] = replace(result.images[0], pixels=real)
    session.models._known = {"bundled": None}
    session.fidelity.begin()
    found = session.fidelity.trust
    # One colour has no texture, and what has none is nobody's copy.
    assert not found.copied
    told = replace(
        found,
        pixels=0.9,
        pixels_limit=0.8,
        second="h0-mini",
        second_cosine=0.5,
        second_neighbours=[0.4, 0.6],
    )
    said = trust_text(told, 0)
    assert "Suspected copy" in said
    assert "by h0-mini: 0.50; real neighbours 0.40 to 0.60" in said


@pytest.mark.parametrize("action", ["twin", "repair"])
def test_areas_are_not_compared(session, action):
    session.synthesis.generate_at(*PLACE)
    result = session.synthesis.result
    result.images[0] = result.images[0].with_provenance(action=action)
    assert not session.fidelity.possible
    session.fidelity.begin()
    assert session.fidelity.job is None
