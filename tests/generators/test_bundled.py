"""The bundled generator: reproducible, conditioned, cancellable, and labelled."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.torch import load_file

from napari_pathfm.encoders import load_encoder
from napari_pathfm.errors import (
    Cancelled,
    PathfmError,
    UnknownModelError,
    WeightsError,
)
from napari_pathfm.generators import Provenance, load_generator
from napari_pathfm.weights import bundled_path


@pytest.fixture(scope="module")
def generator():
    return load_generator(device="cpu")


@pytest.fixture(scope="module")
def condition(cmu_slide_path):
    from napari_pathfm.slides import open_slide

    with open_slide(cmu_slide_path) as slide:
        tile = slide.read(1200 - 112, 2000 - 112, 224, 224, mpp=0.5)
    return load_encoder(device="cpu").encode(tile[None]).cls


def test_same_seed_same_bytes_alone_or_among_others(generator, condition):
    three = generator.generate(condition, n=3, seed=7, steps=3)
    alone = generator.generate(condition, n=1, seed=8, steps=3)[0]
    np.testing.assert_array_equal(alone.pixels, three[1].pixels)
    assert (three[0].pixels != three[1].pixels).any()
    assert alone.pixels.shape == (224, 224, 3)
    assert alone.pixels.dtype == np.uint8


def test_condition_and_guidance_change_the_image(generator, condition):
    plain = generator.generate(condition, steps=3, guidance=1)[0]
    assert (plain.pixels != generator.generate(None, steps=3)[0].pixels).any()
    strong = generator.generate(condition, steps=3, guidance=3)[0]
    assert (plain.pixels != strong.pixels).any()


def test_provenance_says_it_is_synthetic_and_survives_json(generator, condition):
    image = generator.generate(condition, seed=3, steps=2)[0]
    found = Provenance.from_json(image.provenance.to_json())
    assert found == image.provenance
    assert found.synthetic is True
    assert (found.seed, found.steps) == (3, 2)
    assert found.generator_revision == generator.revision
    assert "not for research or diagnosis" in found.notice


def test_text_that_is_no_provenance_is_refused():
    for text in ("", "[]", "{}", '{"synthetic": false}', "nonsense"):
        with pytest.raises(PathfmError, match="no provenance"):
            Provenance.from_json(text)


def test_passes_are_reported_over_all_images_with_previews(generator, condition):
    seen = []
    generator.generate(condition, n=2, steps=5, on_step=lambda *a: seen.append(a))
    # Heun: two passes a step, one in the last.
    done = [0, 1, 1, 2, 2, 3, 3, 4, 5]
    assert [(s, t) for s, t, _ in seen] == [(i, 10) for i in done] + [
        (5 + i, 10) for i in done
    ]
    previews = [p for _, _, p in seen if p is not None]
    assert len(previews) == 2
    assert previews[0].shape == (224, 224, 3)


def test_cancel_stops_at_the_next_pass(generator, condition):
    calls = []
    with pytest.raises(Cancelled):
        generator.generate(
            condition, n=4, on_step=lambda s, *_: calls.append(s) or len(calls) < 4
        )
    assert calls == [0, 1, 1, 2]


@pytest.fixture(scope="module")
def fine(generator, condition):
    return generator.generate(condition, seed=1, steps=30, sampler="heun")[0]


@pytest.mark.parametrize("sampler", ["heun", "euler", "dpm", "sde"])
def test_samplers_agree_on_the_tissue_and_are_recorded(
    generator, condition, fine, sampler
):
    """Solvers of one flow come near each other; the SDE makes another image."""
    image = generator.generate(condition, seed=1, steps=20, sampler=sampler)[0]
    told = image.provenance
    assert (told.sampler, told.steps, told.preset) == (sampler, 20, "own")
    again = generator.generate(condition, seed=1, steps=20, sampler=sampler)[0]
    np.testing.assert_array_equal(again.pixels, image.pixels)
    apart = np.abs(image.pixels.astype(int) - fine.pixels).mean()
    print(f"{sampler}, 20 steps: {apart:.2f} of 255 from Heun with 30")
    assert apart < 6 if sampler != "sde" else apart > 6


def test_presets_fill_up_what_was_not_asked_for(generator, condition):
    paper = generator.generate(condition)[0].provenance
    assert (paper.sampler, paper.steps, paper.preset) == ("heun", 25, "paper")
    fast = generator.generate(condition, preset="fast")[0].provenance
    assert (fast.sampler, fast.preset) == (generator.spec.fast[0], "fast")
    own = generator.generate(condition, preset="fast", steps=3)[0].provenance
    assert (own.steps, own.preset) == (3, "own")
    free = generator.generate(None, steps=2)[0].provenance
    assert free.guidance == 1.0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"n": 0}, "at least one"),
        ({"steps": 0}, "at least one"),
        ({"guidance": float("nan")}, "guidance"),
        ({"sampler": "pipeline"}, "choose one of heun, euler"),
        ({"preset": "cheap"}, "paper, fast"),
    ],
)
def test_senseless_settings_are_refused_before_work(
    generator, condition, settings, says
):
    calls = []
    with pytest.raises(PathfmError, match=says):
        generator.generate(condition, on_step=lambda *a: calls.append(a), **settings)
    assert not calls


def test_wrong_condition_is_refused(generator):
    with pytest.raises(PathfmError, match="CLS of bundled"):
        generator.generate(np.zeros((1, 768), np.float32))
    with pytest.raises(PathfmError, match="not finite"):
        generator.generate(np.full((1, 192), np.nan, np.float32))


def test_unknown_generator_and_foreign_weights(tmp_path):
    with pytest.raises(UnknownModelError, match="cytosyn"):
        load_generator("dall-e")
    with pytest.raises(WeightsError, match=r"autoencoder\.safetensors"):
        load_generator("bundled", weights=tmp_path)


def test_bundled_weights_fit_in_their_allowance():
    names = ("encoder", "autoencoder", "denoiser")
    files = [bundled_path(f"{name}.safetensors") for name in names]
    assert sum(f.stat().st_size for f in files) <= 25_000_000


def test_autoencoder_keeps_tissue(cmu_slide_path):
    """PSNR on a real tile; the model card states the held-out figure."""
    import torch

    from napari_pathfm.generators._autoencoder import Autoencoder, to_signed, to_uint8
    from napari_pathfm.slides import open_slide

    network = Autoencoder().eval()
    network.load_state_dict(load_file(bundled_path("autoencoder.safetensors")))
    with open_slide(cmu_slide_path) as slide:
        tile = slide.read(1088, 1888, 224, 224, mpp=0.5)
    with torch.inference_mode():
        again = to_uint8(
            network.decode(network.encode(to_signed(torch.from_numpy(tile)[None])))
        )
    error = (again[0].numpy().astype(float) - tile) ** 2
    psnr = 10 * np.log10(255**2 / error.mean())
    print(f"autoencoder, CMU epidermis: {psnr:.1f} dB")
    assert psnr > 22
