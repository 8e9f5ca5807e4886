"""Steering: towards a class until its classifier says so, the same noise throughout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_pathfm.errors import LabelError, OutsideSlideError, PathfmError, StoreError
from napari_pathfm.generators import load_generator
from napari_pathfm.heatmaps import FewShot, TissueClass
from napari_pathfm.heatmaps._few_shot import fit_head
from napari_pathfm.synthesis import REACH, steer, vary, verify
from napari_pathfm.synthesis._condition import boxes_around, read_boxes
from napari_pathfm.synthesis._direction import end_towards, unpacked
from napari_pathfm.synthesis._fidelity import embed_tiles
from napari_pathfm.synthesis._frames import Way

PLACE = (600.0, 500.0)
HERE = [PLACE, (650.0, 520.0), (620.0, 560.0)]
THERE = [(1300.0, 900.0), (1250.0, 880.0), (1320.0, 860.0)]
FAST = {"frames": 3, "seed": 7, "steps": 2}


@pytest.fixture(scope="module")
def generator():
    return load_generator(device="cpu")


@pytest.fixture(scope="module")
def features(slide, encoder, generator):
    boxes = boxes_around(slide, HERE + THERE, generator.spec)
    return embed_tiles(encoder, read_boxes(slide, boxes, generator.spec))


@pytest.fixture(scope="module")
def classifier(features, encoder, slide):
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    weights, bias = fit_head(unit, np.repeat([0, 1], 3), 2)
    classes = (TissueClass("here", (1, 2, 3)), TissueClass("there", (3, 2, 1)))
    told = {
        "encoder": "bundled",
        "weights_revision": encoder.revision,
        "pooling": "cls",
        "mpp": encoder.spec.mpp,
        "tile_px": encoder.spec.tile_px,
        "icc_applied": slide.icc_applied,
    }
    return FewShot(classes, weights, bias, 1.0, told)


@pytest.fixture(scope="module")
def made(slide, encoder, generator, classifier):
    return steer(
        slide,
        PLACE,
        generator,
        encoder,
        classifier=classifier,
        towards="there",
        reach=0.8,
        **FAST,
    )


def test_the_way_begins_at_the_tile_and_ends_where_the_class_is_reached(made):
    asked = [i.provenance.fidelity["condition_probability"] for i in made.images]
    assert asked == sorted(asked)
    assert asked[0] == pytest.approx(made.real_probability, abs=1e-4)
    # The first tenth of a degree that reaches it.
    assert 0.8 <= asked[-1] < 0.81
    angles = [i.provenance.details["angle"] for i in made.images]
    assert angles[0] == 0
    assert angles[1] == pytest.approx(angles[2] / 2, abs=0.1)


def test_the_first_step_is_the_variant_of_the_place(slide, encoder, generator, made):
    own = vary(slide, [PLACE], generator, encoder, n=1, seed=7, steps=2).images[0]
    np.testing.assert_array_equal(made.images[0].pixels, own.pixels)
    assert {i.provenance.seed for i in made.images} == {7}


def test_probabilities_are_of_the_generated_tiles(encoder, classifier, made):
    seen = encoder.encode(np.stack([i.pixels for i in made.images])).cls
    expected = classifier.chances(seen)[:, 1]
    np.testing.assert_allclose(made.probabilities, expected, atol=1e-3)
    assert made.to_layer()[1]["axis_labels"] == ("step", "y", "x")
    assert "Synthetic, towards there" in made.title


def test_a_step_is_made_again_without_the_classifier(slide, encoder, generator, made):
    image = made.images[1]
    found = verify(
        image.pixels, image.provenance, generator, slide=slide, encoder=encoder
    )
    assert found.identical
    assert found.same_condition
    harmed = replace(image.provenance, details={**image.provenance.details, "end": "?"})
    with pytest.raises(PathfmError, match="end is damaged"):
        verify(image.pixels, harmed, generator, slide=slide, encoder=encoder)


def test_from_places_to_places_adds_the_difference_of_means(
    slide, encoder, generator, features
):
    made = steer(
        slide, PLACE, generator, encoder, like=THERE, unlike=HERE[1:], frames=2, steps=1
    )
    end = features[0] + features[3:].mean(0) - features[1:3].mean(0)
    np.testing.assert_allclose(
        Way(features[0], end, "linear", 3).conditions[1],
        (features[0] + end) / 2,
        rtol=1e-5,
    )
    told = made.images[-1].provenance
    assert made.probabilities is None
    found = verify(
        made.images[-1].pixels, told, generator, slide=slide, encoder=encoder
    )
    assert found.identical
    assert told.details["towards"] == "places"
    np.testing.assert_allclose(unpacked(told.details["end"]), end, atol=1e-4)


def test_a_classifier_measures_where_places_say_where_to(
    slide, encoder, generator, classifier
):
    made = steer(
        slide,
        PLACE,
        generator,
        encoder,
        classifier=classifier,
        towards="there",
        like=THERE,
        unlike=HERE,
        frames=2,
        steps=1,
    )
    told = made.images[-1].provenance
    assert told.details["like"] == THERE
    assert "reach" not in told.details
    assert told.fidelity["probability"] == pytest.approx(made.probabilities[-1])
    assert told.fidelity["condition_probability"] > made.real_probability


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"encoder": "h0-mini"}, PathfmError, "fitted to h0-mini"),
        ({"pooling": "cls+mean"}, PathfmError, r"cls\+mean"),
        ({"weights_revision": "local:0"}, StoreError, "another weights"),
        ({"tile_px": 256}, StoreError, "another tile size"),
    ],
)
def test_a_classifier_of_other_vectors_is_refused_before_any_work(
    slide, encoder, classifier, changes, error, says
):
    other = replace(classifier, provenance={**classifier.provenance, **changes})
    generator = Idle()
    with pytest.raises(error, match=says):
        steer(slide, PLACE, generator, encoder, classifier=other, towards="there")


class Idle:
    """A generator that must not be asked."""

    spec = load_generator(device="cpu").spec
    revision = "none"


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({}, PathfmError, "say where to steer"),
        ({"towards": "there", "like": THERE}, PathfmError, "to become unlike"),
        ({"towards": "elsewhere"}, LabelError, "here, there"),
        ({"towards": "here", "reach": 0.6}, PathfmError, "'here' already"),
        ({"towards": "there", "reach": 1.5}, PathfmError, "reach of 1.5"),
        ({"towards": "there", "frames": 1}, PathfmError, "first and a last"),
        ({"like": [(-5, 5)], "unlike": HERE}, OutsideSlideError, "outside"),
    ],
)
def test_bad_goals_are_refused_before_any_work(
    slide, encoder, classifier, asked, error, says
):
    if "towards" in asked:
        asked = {**asked, "classifier": classifier}
    with pytest.raises(error, match=says):
        steer(slide, PLACE, Idle(), encoder, **asked)


def test_what_cannot_be_reached_says_how_far_it_goes(slide, encoder, classifier):
    far = replace(classifier, bias=np.array([500, -500], np.float32))
    told = {"classifier": far, "towards": "there", "reach": 0.9}
    with pytest.raises(PathfmError, match="more probable than"):
        steer(slide, PLACE, Idle(), encoder, **told)


def test_without_a_reach_it_goes_as_far_as_it_can(features, classifier):
    start = features[0]
    sure = classifier.chances(end_towards(start, classifier, "there")[None])[0, 1]
    assert sure >= REACH
    # One that is never sure, however far: the best angle is taken.
    modest = replace(classifier, temperature=1e3)
    end = end_towards(start, modest, "there")
    turned = [end_towards(start, modest, "there", p) for p in (0.5, 0.5005)]
    best = modest.chances(np.stack([start, *turned, end]))[:, 1]
    assert best[-1] == best.max() < REACH
    assert np.linalg.norm(end) == pytest.approx(np.linalg.norm(start), rel=1e-5)


def test_glass_is_refused_before_any_work(slide, encoder, classifier):
    with pytest.raises(PathfmError, match=r"\(20, 20\) of drawn.tif is glass"):
        vary(slide, [(20, 20)], Idle(), encoder)
    told = {"classifier": classifier, "towards": "there"}
    with pytest.raises(PathfmError, match=r"\(20, 20\) of drawn.tif is glass"):
        steer(slide, (20, 20), Idle(), encoder, **told)
