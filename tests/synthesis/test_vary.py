"""Variants of a place: in that place, of that size, with everything said."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pathfm.errors import MissingMppError, OutsideSlideError, PathfmError
from napari_pathfm.generators import load_generator
from napari_pathfm.slides import level0_to_world, open_slide
from napari_pathfm.synthesis import vary


@pytest.fixture(scope="module")
def generator():
    return load_generator(device="cpu")


def test_images_stand_where_the_tile_is(slide, encoder, generator):
    made = vary(slide, [(600.0, 500.0)], generator, encoder, n=2, steps=2)
    x, y, width, height = made.box
    assert (x + width / 2, y + height / 2) == (600, 500)
    assert width == height == 224 * slide.sampling(0.5).downsample
    pixels, keywords, kind = made.to_layer()
    assert kind == "image"
    assert pixels.shape == (2, 224, 224, 3)
    # The corners of the layer's outermost pixels are the corners of the box.
    scale, translate = np.array(keywords["scale"]), np.array(keywords["translate"])
    for edge, corner in ((-0.5, (x, y)), (223.5, (x + width, y + height))):
        world = np.array([edge, edge]) * scale[1:] + translate[1:]
        np.testing.assert_allclose(world, level0_to_world(np.array(corner), slide.mpp))


def test_source_is_the_real_tile_and_the_condition_is_its_cls(
    slide, encoder, generator
):
    made = vary(slide, [(600.0, 500.0)], generator, encoder, n=1, steps=2)
    tile = slide.read(600 - 112, 500 - 112, 224, 224, mpp=0.5)
    np.testing.assert_array_equal(made.source, tile)
    direct = generator.generate(encoder.encode(tile[None]).cls, steps=2)[0]
    np.testing.assert_array_equal(made.images[0].pixels, direct.pixels)


def test_provenance_names_slide_place_and_both_models(slide, encoder, generator):
    made = vary(
        slide, [(600.0, 500.0), (700.0, 600.0)], generator, encoder, n=1, steps=2
    )
    told = made.images[0].provenance
    assert told.slide_fingerprint == slide.fingerprint
    assert told.points == ((600.0, 500.0), (700.0, 600.0))
    assert told.box == made.box
    assert told.encoder_revision == encoder.revision
    assert told.generator_revision == generator.revision
    assert told.mpp == pytest.approx(0.5)
    assert len(told.condition_sha256) == 64


def test_without_condition_the_place_is_only_a_place(slide, encoder, generator):
    from napari_pathfm.synthesis import verify

    made = vary(
        slide, [(600.0, 500.0)], generator, encoder, conditional=False, n=1, steps=2
    )
    direct = generator.generate(None, steps=2)[0]
    np.testing.assert_array_equal(made.images[0].pixels, direct.pixels)
    told = made.images[0].provenance
    assert told.condition_sha256 is None
    assert told.box == made.box
    assert set(told.fidelity) == {"cosine_to_place", "neighbours_below"}
    assert made.fidelity == [told.fidelity["cosine_to_place"]]
    assert verify(made.images[0].pixels, told, generator).identical


def test_fidelity_is_the_cosine_to_the_condition(slide, encoder, generator):
    made = vary(slide, [(600.0, 500.0)], generator, encoder, n=2, steps=2)
    wanted = encoder.encode(made.source[None]).cls[0]
    for image, told in zip(made.images, made.fidelity, strict=True):
        seen = encoder.encode(image.pixels[None]).cls[0]
        cosine = seen @ wanted / np.linalg.norm(seen) / np.linalg.norm(wanted)
        assert told == pytest.approx(cosine, abs=1e-3)


def test_points_off_the_slide_are_refused(slide, encoder, generator):
    for point in ((-1, 5), (5, 1e6)):
        with pytest.raises(OutsideSlideError, match="outside"):
            vary(slide, [point], generator, encoder)
    with pytest.raises(OutsideSlideError, match="no point"):
        vary(slide, [], generator, encoder)


def test_a_corner_of_the_slide_works(slide, encoder, generator):
    made = vary(
        slide, [(0.0, 0.0)], generator, encoder, n=1, steps=1, conditional=False
    )
    assert made.box[0] < 0
    assert (made.source[:100, :100] == 255).all()


def test_unknown_pixel_size_is_refused(tcga_slide_path, encoder, generator):
    with (
        open_slide(tcga_slide_path) as blind,
        pytest.raises(MissingMppError, match="--mpp"),
    ):
        vary(blind, [(2000, 2000)], generator, encoder)


def test_another_encoder_is_refused(slide, encoder, generator, monkeypatch):
    import dataclasses

    other = dataclasses.replace(encoder.spec, name="other")
    monkeypatch.setattr(encoder, "spec", other)
    with pytest.raises(PathfmError, match="conditioned on bundled, not on other"):
        vary(slide, [(600, 500)], generator, encoder)


def test_the_right_condition_wins(cmu_slide_path, encoder, generator):
    """A variant is nearer to its own tile than to the other tissue of the slide."""
    from napari_pathfm.slides import tile_grid

    points = [(1200, 2000), (1180, 950), (1550, 2300), (950, 1300), (1700, 2250)]
    with open_slide(cmu_slide_path) as slide:
        grid = tile_grid(slide)
        tiles = np.concatenate([pixels for _, pixels in slide.tiles(grid)])
        wins = []
        for point in points:
            made = vary(slide, [point], generator, encoder, n=1)
            own = made.source
            far = np.abs(grid.coords + 112 - point).max(1) > 224
            cls = encoder.encode(
                np.stack([own, made.images[0].pixels, *tiles[far]])
            ).cls
            unit = cls / np.linalg.norm(cls, axis=1, keepdims=True)
            to_own, to_others = unit[1] @ unit[0], unit[2:] @ unit[1]
            wins.append(float((to_own > to_others).mean()))
    print("share of other tiles that the own tile beats:", np.round(wins, 3))
    assert np.mean(wins) > 0.8


def test_tiles_of_another_size_are_seen_at_the_encoders_own(encoder):
    """A generator's tile may be larger than its encoder's: PixCell's is."""
    from PIL import Image

    from napari_pathfm.synthesis._fidelity import embed_tiles

    tile = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    small = np.array(Image.fromarray(tile).resize((224, 224), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(
        embed_tiles(encoder, tile[None]), encoder.encode(small[None]).cls
    )


def test_the_cosine_is_held_against_the_real_neighbours(slide, encoder, generator):
    made = vary(slide, [(600.0, 500.0)], generator, encoder, n=1, steps=1)
    told = made.images[0].provenance
    real = told.details["neighbour_cosines"]
    # Each of them by hand.
    x, y, side, _ = made.box
    places = [
        (x + i * side, y + j * side) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j
    ]
    tiles = np.stack([slide.read(a, b, 224, 224, mpp=0.5) for a, b in places])
    own = encoder.encode(made.source[None]).cls[0]
    seen = encoder.encode(tiles).cls
    near = seen @ own / np.linalg.norm(seen, axis=1) / np.linalg.norm(own)
    assert all(np.isclose(near, value, atol=1e-3).any() for value in real)
    assert real == sorted(real)
    assert 1 <= len(real) <= 8
    below = np.mean(np.array(real) < told.fidelity["cosine_to_condition"])
    assert told.fidelity["neighbours_below"] == pytest.approx(below, abs=1e-4)


def test_neighbours_off_the_slide_or_on_glass_do_not_count(slide, encoder, generator):
    made = vary(
        slide, [(0.0, 0.0)], generator, encoder, n=1, steps=1, conditional=False
    )
    told = made.images[0].provenance
    assert "neighbour_cosines" not in told.details
    assert set(told.fidelity) == {"cosine_to_place"}
