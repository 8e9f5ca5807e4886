"""An image that says what made it can be made again, and a forged one is found out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_pathfm.errors import PathfmError
from napari_pathfm.generators import load_generator
from napari_pathfm.synthesis import vary, verify, walk

PLACES = [(600.0, 500.0), (700.0, 600.0)]


@pytest.fixture(scope="module")
def generator():
    return load_generator(device="cpu")


@pytest.fixture(scope="module")
def image(slide, encoder, generator):
    return vary(slide, PLACES, generator, encoder, n=2, seed=3, steps=2).images[1]


def test_a_variant_comes_out_the_same(slide, encoder, generator, image):
    found = verify(
        image.pixels, image.provenance, generator, slide=slide, encoder=encoder
    )
    assert found.identical
    assert found.same_condition
    assert found.max_difference == 0


def test_a_frame_of_a_walk_comes_out_the_same(slide, encoder, generator):
    made = walk(slide, *PLACES, generator, encoder, frames=3, steps=2)
    frame = made.images[1]
    found = verify(
        frame.pixels, frame.provenance, generator, slide=slide, encoder=encoder
    )
    assert found.identical


def test_an_unconditional_image_needs_no_slide(generator):
    image = generator.generate(None, seed=5, steps=2)[0]
    assert verify(image.pixels, image.provenance, generator).identical


def test_changed_pixels_are_found(slide, encoder, generator, image):
    forged = image.pixels.copy()
    forged[3, 4, 1] ^= 5
    found = verify(forged, image.provenance, generator, slide=slide, encoder=encoder)
    assert not found.identical
    assert found.same_condition
    assert found.max_difference in (1, 3, 4, 5)


def test_a_forged_place_is_found(slide, encoder, generator, image):
    x, y, side, _ = image.provenance.box
    moved = replace(
        image.provenance,
        points=((610.0, 500.0), PLACES[1]),
        box=(x + 10, y, side, side),
    )
    found = verify(image.pixels, moved, generator, slide=slide, encoder=encoder)
    assert not found.same_condition
    assert not found.identical


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"generator": "cytosyn"}, "another generator"),
        ({"generator_revision": "local:0"}, "another generator's weights"),
        ({"encoder_revision": "local:0"}, "another encoder's weights"),
        ({"slide_fingerprint": "0" * 32}, "another slide's fingerprint"),
        ({"box": (0.0, 0.0, 448.0, 448.0)}, "--mpp"),
        ({"action": "dream"}, "cannot make again"),
        ({"action": "repair"}, "does not say its 'mask'"),
        ({"action": "walk", "details": {}}, "does not say its 'path'"),
    ],
)
def test_what_cannot_be_compared_is_named(
    slide, encoder, generator, image, changes, says
):
    told = replace(image.provenance, **changes)
    with pytest.raises(PathfmError, match=says):
        verify(image.pixels, told, generator, slide=slide, encoder=encoder)


def test_the_slide_is_asked_for_and_a_resized_image_is_named(
    slide, encoder, generator, image
):
    with pytest.raises(PathfmError, match="the slide and the encoder"):
        verify(image.pixels, image.provenance, generator)
    small = np.ascontiguousarray(image.pixels[::2, ::2])
    with pytest.raises(PathfmError, match="resized"):
        verify(small, image.provenance, generator, slide=slide, encoder=encoder)
