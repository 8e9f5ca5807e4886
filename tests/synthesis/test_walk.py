"""A walk: the ends are the variants there, only the tissue changes between them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pathfm.errors import Cancelled, OutsideSlideError, PathfmError
from napari_pathfm.generators import load_generator
from napari_pathfm.synthesis import mix, vary, walk

START, END = (600.0, 500.0), (1300.0, 900.0)


@pytest.fixture(scope="module")
def generator():
    return load_generator(device="cpu")


@pytest.fixture(scope="module")
def made(slide, encoder, generator):
    return walk(slide, START, END, generator, encoder, frames=3, seed=7, steps=2)


def test_mix_is_exact_at_both_ends_and_even_between():
    a = np.array([2.0, 0.0], np.float32)
    b = np.array([0.0, 4.0], np.float32)
    assert mix(a, b, 0) is a
    assert mix(a, b, 1) is b
    # A third of the right angle, at a third of the way from length 2 to length 4.
    third = mix(a, b, 1 / 3)
    angle, length = np.deg2rad(30), 2 + 2 / 3
    np.testing.assert_allclose(
        third, length * np.array([np.cos(angle), np.sin(angle)]), rtol=1e-6
    )
    np.testing.assert_allclose(mix(a, b, 0.25, "linear"), [1.5, 1.0])


def test_mix_of_the_same_direction_only_changes_length():
    a = np.array([1.0, 1.0], np.float32)
    np.testing.assert_allclose(mix(a, 3 * a, 0.5), 2 * a)


def test_mix_refuses_what_has_no_shortest_arc():
    a = np.array([1.0, 0.0], np.float32)
    with pytest.raises(PathfmError, match="linear"):
        mix(a, -a, 0.5)
    with pytest.raises(PathfmError, match="no path 'cubic'"):
        mix(a, a, 0.5, "cubic")  # type: ignore[arg-type]


def test_the_ends_are_the_variants_of_both_places(slide, encoder, generator, made):
    for point, frame in ((START, made.images[0]), (END, made.images[-1])):
        own = vary(slide, [point], generator, encoder, n=1, seed=7, steps=2).images[0]
        np.testing.assert_array_equal(frame.pixels, own.pixels)


def test_every_frame_has_the_same_noise_and_says_how_far_it_is(made):
    told = [image.provenance for image in made.images]
    assert {p.seed for p in told} == {7}
    assert [p.details["fraction"] for p in told] == [0.0, 0.5, 1.0]
    assert {p.action for p in told} == {"walk"}
    assert {p.points for p in told} == {(START, END)}
    assert len({p.condition_sha256 for p in told}) == 3


def test_frames_stand_at_the_start_on_a_slider(slide, made):
    x, y, width, height = made.box
    assert (x + width / 2, y + height / 2) == START
    _, keywords, _ = made.to_layer()
    assert keywords["axis_labels"] == ("frame", "y", "x")
    np.testing.assert_array_equal(
        made.target, slide.read(END[0] - 112, END[1] - 112, 224, 224, mpp=0.5)
    )


def test_steps_are_counted_over_all_frames(slide, encoder, generator):
    seen = []
    walk(
        slide,
        START,
        END,
        generator,
        encoder,
        frames=2,
        steps=3,
        on_step=lambda step, total, _: seen.append((step, total)),
    )
    # Heun: two passes a step, one in the last.
    done = [0, 1, 1, 2, 3]
    assert seen == [(i, 6) for i in done] + [(3 + i, 6) for i in done]


def test_a_walk_stops_when_told_to(slide, encoder, generator):
    with pytest.raises(Cancelled):
        walk(
            slide,
            START,
            END,
            generator,
            encoder,
            frames=3,
            steps=2,
            on_step=lambda step, *_: step < 3,
        )


def test_bad_requests_are_refused(slide, encoder, generator):
    with pytest.raises(PathfmError, match="first and a last"):
        walk(slide, START, END, generator, encoder, frames=1)
    with pytest.raises(OutsideSlideError, match="outside"):
        walk(slide, START, (-5, 5), generator, encoder)
