"""A repair: synthetic under the mask, the slide's own everywhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely

from napari_pathfm.errors import Cancelled, OutsideSlideError, PathfmError
from napari_pathfm.generators import load_generator
from napari_pathfm.synthesis import repair, verify
from napari_pathfm.synthesis._seam import composite, edge_step, filled

FAST = {"sampler": "euler", "steps": 2}
# A triangle across latent cells, of which none is masked whole along its sides.
SHAPE = shapely.Polygon([(603, 505), (671, 522), (640, 590)])


@pytest.fixture(scope="module")
def generator():
    return load_generator(device="cpu")


@pytest.fixture(scope="module")
def made(slide, encoder, generator):
    return repair(slide, SHAPE, generator, encoder, n=2, seed=4, **FAST)


def test_all_but_the_mask_is_the_slide_bit_for_bit(slide, made):
    x, y, width, height = made.box
    px = made.source.shape[1]
    real = slide.read(x, y, px, made.source.shape[0], mpp=0.5)
    assert (px, made.source.shape[0]) == (width, height) == (224, 224)
    xs, ys = x + np.arange(px) + 0.5, y + np.arange(px) + 0.5
    np.testing.assert_array_equal(
        made.mask, shapely.contains_xy(SHAPE, xs[None], ys[:, None])
    )
    for image in made.images:
        changed = (image.pixels != real).any(-1)
        assert not changed[~made.mask].any()
        assert changed[made.mask].mean() > 0.9
        assert image.provenance.details["masked_px"] == made.mask.sum()
    first, second = made.images
    assert (first.pixels != second.pixels).any()


def test_what_lay_under_the_mask_has_no_part_in_it(slide, encoder, generator, made):
    """The same pixels come out whatever was there."""
    plain = slide.read

    def scrawled(left, top, across, down, **keywords):
        found = plain(left, top, across, down, **keywords)
        at = left + np.arange(across) + 0.5, top + np.arange(down) + 0.5
        hidden = shapely.contains_xy(SHAPE, at[0][None], at[1][:, None])
        return np.where(hidden[..., None], np.uint8(3), found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slide, "read", scrawled)
        other = repair(slide, SHAPE, generator, encoder, seed=4, **FAST)
    np.testing.assert_array_equal(other.images[0].pixels, made.images[0].pixels)


def test_a_mask_larger_than_a_tile_is_made_of_several(slide, encoder, generator):
    passes = []
    large = repair(
        slide,
        (700, 500, 270, 90),
        generator,
        encoder,
        on_step=lambda step, total, _: passes.append((step, total)) or True,
        **FAST,
    )
    height, width = large.mask.shape
    assert width > 270
    assert height == 224
    assert passes[-1][0] == passes[-1][1] > 2
    real = slide.read(*large.box[:2], width, height, mpp=0.5)
    image = large.images[0].pixels
    np.testing.assert_array_equal(image[~large.mask], real[~large.mask])
    assert (image[large.mask] != real[large.mask]).mean() > 0.8


def test_it_can_be_made_again_from_what_it_says(slide, encoder, generator, made):
    image = made.images[1]
    told = type(image.provenance).from_json(image.provenance.to_json())
    assert (told.action, told.seed, told.box) == ("repair", 5, made.box)
    assert 0 < told.fidelity["seam"] < 10
    found = verify(image.pixels, told, generator, slide=slide, encoder=encoder)
    assert found.identical
    assert found.same_condition
    details = dict(told.details)
    del details["mask"]
    with pytest.raises(PathfmError, match="does not say its 'mask'"):
        verify(
            image.pixels,
            replace(told, details=details),
            generator,
            slide=slide,
            encoder=encoder,
        )


def test_what_to_put_there_can_be_said(slide, encoder, generator, made):
    other = repair(
        slide, SHAPE, generator, encoder, like=[(1300.0, 900.0)], seed=4, **FAST
    )
    assert other.images[0].provenance.points == ((1300.0, 900.0),)
    apart = other.images[0].pixels[made.mask] != made.images[0].pixels[made.mask]
    assert apart.any()


def test_stopping_keeps_nothing_and_takes_one_pass(slide, encoder, generator):
    calls = []

    def stop(*call):
        calls.append(call)
        return len(calls) < 2

    with pytest.raises(Cancelled):
        repair(slide, SHAPE, generator, encoder, sampler="euler", on_step=stop)
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        ((600, 500, 0, 40), "empty"),
        (shapely.Polygon(), "empty"),
        ((2000, 500, 100, 40), "leaves drawn.tif"),
        ((600.1, 500.1, 0.2, 0.2), "smaller than a pixel"),
        ((0, 0, 2048, 1536), "nothing around it"),
        ((8, 8, 20, 20), "no tissue there"),
    ],
)
def test_a_senseless_mask_is_refused_before_work(slide, encoder, generator, mask, says):
    calls = []
    with pytest.raises((PathfmError, OutsideSlideError), match=says) as error:
        repair(slide, mask, generator, encoder, on_step=lambda *a: calls.append(a))
    assert "\n" not in str(error.value)
    assert not calls


def test_samplers_and_encoders_that_do_not_fit_are_named(
    slide, encoder, generator, tmp_path
):
    with pytest.raises(PathfmError, match="cannot be made with the sampler 'sde'"):
        repair(slide, SHAPE, generator, encoder, sampler="sde")

    class Other:
        spec = replace(encoder.spec, name="h0-mini")

    with pytest.raises(PathfmError, match="conditioned on bundled, not on h0-mini"):
        repair(slide, SHAPE, generator, Other())  # type: ignore[arg-type]


def test_pixels_put_in_a_mask_take_on_the_colours_around():
    real = np.full((40, 40, 3), (200, 120, 180), np.uint8)
    mask = np.zeros((40, 40), bool)
    mask[10:30, 12:28] = True
    real[mask] = 0
    # An autoencoder that makes everything ten darker, and texture under the mask.
    made = np.full((40, 40, 3), (190, 110, 170), np.uint8)
    made[20, 20] += 30
    out = composite(real, made, mask)
    np.testing.assert_array_equal(out[~mask], real[~mask])
    assert np.abs(out[15, 15].astype(int) - (200, 120, 180)).max() <= 1
    assert out[20, 20, 0] > 225
    np.testing.assert_array_equal(composite(real, made, mask, 0)[mask], made[mask])
    assert np.abs(filled(real, mask).astype(int) - (200, 120, 180)).max() <= 1


def test_edge_step_of_noise_is_one_and_of_a_step_more():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 100, (200, 200, 3)).astype(np.uint8)
    mask = np.zeros((200, 200), bool)
    mask[40:160, 30:170] = True
    assert edge_step(noise, mask) == pytest.approx(1, abs=0.05)
    noise[mask] += 100
    assert edge_step(noise, mask) > 2
    assert edge_step(noise, np.zeros_like(mask)) == 0
