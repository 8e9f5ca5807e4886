"""A click is steered towards the class in hand, without and with a window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conftest import LANDMARK, TILE
from napari_pathfm.viewer._metadata import entry, layers_of

DARK = (LANDMARK[0] + TILE / 2, LANDMARK[1] + TILE / 2)
PINK = (1.5 * TILE, 1.5 * TILE)


def label(session):
    """Two classes, a stroke of each; the first is in hand."""
    for name in ("tumour", "stroma"):
        session.classes.list.add(name)
    session.classes.paint()
    layer = session.classes.brush.make_layer(session.current)
    stride = entry(layer)["stride"]
    for number, place in enumerate((DARK, PINK), 1):
        layer.paint((place[1] / stride - 0.5, place[0] / stride - 0.5), number)
    session.classes.list.current = 0


def click(session, place):
    session.prompt(session.current.world(*place))


def test_a_click_is_steered_to_the_class_in_hand(session, models):
    label(session)
    click(session, PINK)
    assert session.steering.towards == "tumour"
    session.synthesis.frames = 3
    session.steering.begin()
    made = session.synthesis.result
    assert (made.axis, made.towards) == ("step", "tumour")
    asked = [i.provenance.fidelity["condition_probability"] for i in made.images]
    assert asked[0] < 0.5 < asked[1] < asked[-1]
    # The generator was told so, with one seed.
    assert {call["seed"] for call in models.fake_generator.calls} == {0}
    told = np.concatenate(models.fake_generator.conditions)
    chances = session.steering.classifier.chances(told)[:, 0]
    np.testing.assert_allclose(chances, asked, atol=1e-3)
    (layer,) = layers_of(session.viewer.layers, "synthetic")
    assert "Synthetic, towards tumour" in layer.name
    assert len(entry(layer)["provenance"]) == 3


def test_there_is_nothing_to_steer_to_without_labels(session):
    click(session, PINK)
    assert session.steering.towards is None
    session.steering.begin()
    assert "Label two classes" in session.message


def test_a_classifier_of_another_encoder_is_one_line_before_any_work(session, models):
    label(session)
    click(session, PINK)
    answer = session.classes.answer
    told = {**answer.classifier.provenance, "encoder": "h0-mini"}
    other = replace(answer.classifier, provenance=told)
    session.classes._answers[session.current] = replace(answer, classifier=other)
    session.steering.begin()
    assert "fitted to h0-mini" in session.message
    assert "\n" not in session.message
    assert session.synthesis.job is None


def test_a_tile_of_the_class_is_taken_further(session):
    label(session)
    click(session, DARK)
    session.synthesis.frames = 2
    session.steering.begin()
    asked = [
        image.provenance.fidelity["condition_probability"]
        for image in session.synthesis.result.images
    ]
    assert 0.5 < asked[0] <= asked[1]


@pytest.mark.parametrize("origin", ["last", "mean"])
def test_glass_is_said_before_a_model_is_loaded(session, models, origin):
    session.synthesis.origin = origin
    session.synthesis.generate_at(30, 30)
    assert "is glass" in session.message
    assert models.trusted is None
    session.synthesis.origin = "none"
    session.synthesis.generate_at(30, 30)
    assert session.synthesis.result is not None


def test_the_button_and_its_probabilities(window):
    section, session = window.panel.synthesis, window.session
    window.press(window.panel.similarity.tool)
    window.click(*PINK)
    window.until_heatmap()
    assert not section.steer.isEnabled()
    label(session)
    window.until(lambda: section.steer.isEnabled())
    assert section.steer.text() == "Steer towards tumour"
    section.frames.setValue(3)
    section.steps.setValue(2)
    window.press(section.steer)
    window.until_generated()
    made = session.synthesis.result
    assert made.axis == "step"
    text = section.cosines.text()
    assert text.startswith(
        f"Probability of tumour: real tile {made.real_probability:.2f}"
    )
    assert all(f"{value:.2f}" in text for value in made.probabilities)
    assert window.viewer.dims.axis_labels[0] == "step"
