"""PixCell-256's loader, on folders of random weights in the public layout."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from napari_pathfm.errors import Cancelled, PathfmError, WeightsError
from napari_pathfm.generators import load_generator


@pytest.fixture(scope="module")
def pixcell(pixcell_folder):
    return load_generator(
        "pixcell-256", weights=pixcell_folder, device="cpu", trust_remote_code=True
    )


def condition(n=1):
    return np.random.default_rng(0).normal(size=(n, 1536)).astype(np.float32)


def test_nothing_runs_without_consent(pixcell_folder):
    with pytest.raises(WeightsError, match=r"PixCell-pipeline.*--trust-remote-code"):
        load_generator("pixcell-256", weights=pixcell_folder)


def test_images_have_its_size_and_field_of_view(pixcell):
    made = pixcell.generate(condition(), n=2, seed=5, steps=3)
    assert [i.provenance.seed for i in made] == [5, 6]
    assert made[0].pixels.shape == (256, 256, 3)
    assert made[0].provenance.mpp == 0.5
    assert (made[0].provenance.sampler, made[0].provenance.guidance) == ("pipeline", 2)
    assert made[0].provenance.engine == "PixCellPipeline"
    again = pixcell.generate(condition(), n=1, seed=6, steps=3)
    np.testing.assert_array_equal(again[0].pixels, made[1].pixels)


def test_condition_and_guidance_matter_and_may_be_absent(pixcell):
    images = [
        pixcell.generate(condition(), steps=3)[0],
        pixcell.generate(condition(), steps=3, guidance=1)[0],
        pixcell.generate(None, steps=3)[0],
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (images[one].pixels != images[other].pixels).any()
    assert images[2].provenance.condition_sha256 is None


def test_every_pass_is_heard_of_and_can_be_stopped(pixcell):
    seen = []
    pixcell.generate(condition(), preset="fast", on_step=lambda *a: seen.append(a[:2]))
    assert seen[-1] == (10, 10)
    assert len(seen) == 11
    calls = []
    with pytest.raises(Cancelled):
        pixcell.generate(
            condition(), on_step=lambda *a: calls.append(a) or len(calls) < 3
        )
    assert len(calls) == 3


def test_pipelines_of_several_folders_live_side_by_side(
    pixcell, pixcell_folder, cytosyn_folder
):
    """All of them call their code pipeline.py."""
    before = pixcell.generate(condition(), steps=2)[0].pixels
    other = load_generator(
        "cytosyn", weights=cytosyn_folder, device="cpu", trust_remote_code=True
    )
    again = load_generator(
        "pixcell-256", weights=pixcell_folder, device="cpu", trust_remote_code=True
    )
    told = np.zeros((1, 768), np.float32)
    made = other.generate(told, steps=2)[0]
    assert made.provenance.engine == "StandInPipeline"
    for generator in (pixcell, again):
        after = generator.generate(condition(), steps=2)[0].pixels
        np.testing.assert_array_equal(after, before)


def test_other_conditions_are_refused(pixcell):
    with pytest.raises(PathfmError, match="CLS of uni2-h"):
        pixcell.generate(np.zeros((1, 768), np.float32))


def test_everything_in_one_folder_serves_too(pixcell, pixcell_folder, tmp_path):
    folder = tmp_path / "PixCell-256"
    shutil.copytree(pixcell_folder, folder)
    beside = pixcell_folder.parent
    shutil.copy(beside / "PixCell-pipeline" / "pipeline.py", folder)
    shutil.copytree(beside / "stable-diffusion-3.5-large" / "vae", folder / "vae")
    other = load_generator(
        "pixcell-256", weights=folder, device="cpu", trust_remote_code=True
    )
    np.testing.assert_array_equal(
        other.generate(condition(), steps=2)[0].pixels,
        pixcell.generate(condition(), steps=2)[0].pixels,
    )


@pytest.mark.parametrize(
    "gone",
    [
        "PixCell-256/model_index.json",
        "PixCell-256/transformer",
        "PixCell-pipeline",
        "stable-diffusion-3.5-large",
    ],
)
def test_what_is_missing_is_one_line(pixcell_folder, gone, tmp_path):
    root = tmp_path / "all"
    shutil.copytree(pixcell_folder.parent, root)
    target = root / gone
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    with pytest.raises(WeightsError) as caught:
        load_generator(
            "pixcell-256", weights=root / "PixCell-256", trust_remote_code=True
        )
    assert "\n" not in str(caught.value)
    assert str(root) in str(caught.value)


def test_repairs_and_areas_are_refused_in_a_line(pixcell):
    with pytest.raises(PathfmError, match=r"whole tiles only.*such as bundled"):
        pixcell.flow()
