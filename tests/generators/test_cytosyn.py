"""CytoSyn's loader, on a folder of random weights in the repository's layout."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from napari_pathfm.errors import Cancelled, PathfmError, WeightsError
from napari_pathfm.generators import load_generator


@pytest.fixture(scope="module")
def cytosyn(cytosyn_folder):
    return load_generator(
        "cytosyn", weights=cytosyn_folder, device="cpu", trust_remote_code=True
    )


def condition(n=1):
    return np.random.default_rng(0).normal(size=(n, 768)).astype(np.float32)


def test_nothing_runs_without_consent(cytosyn_folder):
    with pytest.raises(WeightsError, match="--trust-remote-code"):
        load_generator("cytosyn", weights=cytosyn_folder)


def test_images_are_the_pipelines_own(cytosyn):
    told = condition()
    made = cytosyn.generate(told, n=2, seed=5, steps=4)
    assert [i.provenance.seed for i in made] == [5, 6]
    assert made[0].pixels.shape == (224, 224, 3)
    assert (made[0].pixels != made[1].pixels).any()
    again = cytosyn.generate(told, n=1, seed=6, steps=4)
    np.testing.assert_array_equal(again[0].pixels, made[1].pixels)
    assert made[0].provenance.guidance == 2.5
    assert made[0].provenance.mpp == pytest.approx(0.5)


def test_condition_matters_and_may_be_absent(cytosyn):
    with_condition = cytosyn.generate(condition(), steps=4)[0]
    without = cytosyn.generate(None, steps=4)[0]
    assert (with_condition.pixels != without.pixels).any()
    assert without.provenance.condition_sha256 is None
    assert without.provenance.guidance == 1.0


def test_cls_and_mean_is_refused_with_the_way_out(cytosyn):
    wide = np.zeros((1, 1536), np.float32)
    with pytest.raises(PathfmError, match="first half"):
        cytosyn.generate(wide, steps=2)


def test_steps_are_reported_and_can_be_cancelled(cytosyn):
    seen = []
    cytosyn.generate(condition(), steps=6, on_step=lambda *a: seen.append(a[:2]))
    steps = [step for step, _ in seen]
    assert steps == sorted(steps)
    assert seen[-1] == (6, 6)
    calls = []

    def stop(step, total, preview):
        calls.append(step)
        return len(calls) < 3

    with pytest.raises(Cancelled):
        cytosyn.generate(condition(), steps=50, on_step=stop)
    assert len(calls) == 3
    # The watch is gone: another run is not stopped by it.
    assert cytosyn.generate(condition(), steps=2)


@pytest.mark.parametrize(
    "gone", ["pipeline.py", "model_index.json", "transformer", "vae"]
)
def test_incomplete_folder_is_one_line(cytosyn_folder, gone, tmp_path):
    folder = tmp_path / "CytoSyn"
    shutil.copytree(cytosyn_folder, folder)
    target = folder / gone
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    with pytest.raises(WeightsError) as caught:
        load_generator("cytosyn", weights=folder, trust_remote_code=True)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_damaged_weights_are_one_line(cytosyn_folder, tmp_path):
    folder = tmp_path / "CytoSyn"
    shutil.copytree(cytosyn_folder, folder)
    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_generator("cytosyn", weights=folder, trust_remote_code=True)


@pytest.fixture
def native(cytosyn_sit_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_PATHFM_CACHE", str(tmp_path))
    return load_generator(
        "cytosyn",
        weights=cytosyn_sit_folder,
        device="cpu",
        trust_remote_code=True,
        precision="fp32",
    )


def test_native_way_gives_the_pipelines_image_with_the_same_seed(native):
    told = condition()
    theirs = native.generate(told, seed=3, steps=9)[0]
    ours = native.generate(told, seed=3, steps=9, sampler="sde")[0]
    apart = np.abs(theirs.pixels.astype(int) - ours.pixels)
    assert apart.max() <= 1
    assert theirs.pixels.std() > 5
    assert theirs.provenance.sampler == "pipeline"
    assert ours.provenance.sampler == "sde"
    assert "equals the repository's pipeline" in ours.provenance.engine


def test_comparison_is_recorded_and_not_made_twice(native, tmp_path, monkeypatch):
    native.generate(condition(), steps=2, sampler="euler")
    (kept,) = (tmp_path / "parity").glob("*.json")
    assert '"passed": true' in kept.read_text()
    calls = []
    monkeypatch.setattr(
        "napari_pathfm.generators._parity.compare", lambda *a: calls.append(a)
    )
    native.generate(condition(), steps=2, sampler="dpm")
    assert not calls


def test_fast_preset_takes_our_sampler_with_previews(native):
    seen = []
    made = native.generate(
        condition(), preset="fast", on_step=lambda *a: seen.append(a)
    )[0]
    told = made.provenance
    assert (told.sampler, told.steps, told.preset) == ("dpm", 25, "fast")
    assert seen[-1][:2] == (25, 25)
    assert sum(preview is not None for _, _, preview in seen) == 5


def test_comparison_can_be_cancelled_and_is_then_not_recorded(native, tmp_path):
    calls = []
    with pytest.raises(Cancelled):
        native.generate(
            condition(),
            sampler="dpm",
            on_step=lambda *a: calls.append(a) or len(calls) < 6,
        )
    assert len(calls) == 6
    assert not (tmp_path / "parity").exists()


def test_network_that_only_looks_alike_is_left_to_its_pipeline(
    cytosyn_other_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("NAPARI_PATHFM_CACHE", str(tmp_path))
    other = load_generator(
        "cytosyn", weights=cytosyn_other_folder, device="cpu", trust_remote_code=True
    )
    with pytest.raises(PathfmError, match="differs from the repository's pipeline"):
        other.generate(condition(), sampler="sde", steps=4)
    told = other.generate(condition(), preset="fast")[0].provenance
    assert (told.sampler, told.steps) == ("pipeline", 25)
    assert "does not serve" in told.engine
    assert '"passed": false' in next((tmp_path / "parity").glob("*.json")).read_text()


def test_transformer_of_other_names_is_said_so(cytosyn):
    with pytest.raises(PathfmError, match="names of a SiT"):
        cytosyn.generate(condition(), steps=2, sampler="sde")


def test_consent_is_remembered_until_the_code_changes(
    cytosyn_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("NAPARI_PATHFM_CONFIG", str(tmp_path / "config"))
    folder = tmp_path / "CytoSyn"
    shutil.copytree(cytosyn_folder, folder)
    with pytest.raises(WeightsError, match="--trust-remote-code"):
        load_generator("cytosyn", weights=folder)
    assert load_generator("cytosyn", weights=folder, trust_remote_code=True)
    assert load_generator("cytosyn", weights=folder)
    marker = tmp_path / "ran"
    code = folder / "transformer" / "sit.py"
    code.write_text(code.read_text() + f"\nopen({str(marker)!r}, 'w')\n")
    with pytest.raises(WeightsError, match="until that code changes"):
        load_generator("cytosyn", weights=folder)
    assert not marker.exists()
    (tmp_path / "config" / "consent.json").write_text("{broken")
    with pytest.raises(WeightsError, match="--trust-remote-code"):
        load_generator("cytosyn", weights=cytosyn_folder)


@pytest.fixture
def half(cytosyn_sit_folder, tmp_path, monkeypatch):
    """Load CytoSyn on a processor that is said to be fastest in bf16."""
    monkeypatch.setenv("NAPARI_PATHFM_CACHE", str(tmp_path))
    monkeypatch.setattr(
        "napari_pathfm.generators._cytosyn.advised_precision",
        lambda device: ("bf16", "a test"),
    )

    def load(precision="auto"):
        return load_generator(
            "cytosyn",
            weights=cytosyn_sit_folder,
            device="cpu",
            trust_remote_code=True,
            precision=precision,
        )

    return load


def test_half_precision_is_taken_where_it_gives_the_same_image(half):
    fast, exact = half(), half("fp32")
    first, again = (fast.generate(condition(), steps=4, sampler="sde") for _ in "12")
    told = first[0].provenance
    assert told.precision == "bf16"
    assert "bf16 is 0." in told.engine
    assert np.array_equal(first[0].pixels, again[0].pixels)
    slow = exact.generate(condition(), steps=4, sampler="sde")[0]
    assert slow.provenance.precision == "fp32"
    apart = np.abs(first[0].pixels.astype(int) - slow.pixels)
    assert 0 < apart.mean() < 1
    # Areas are made in it too; the folder's own pipeline is not.
    assert fast.flow().precision == "bf16"
    assert fast.generate(condition(), steps=2)[0].provenance.precision == "fp32"


def test_half_precision_that_changes_the_image_is_refused(half, monkeypatch):
    monkeypatch.setattr("napari_pathfm.generators._parity._HALF_MEAN", 0.0)
    made = half().generate(condition(), steps=2, sampler="sde")[0]
    assert made.provenance.precision == "fp32"
    assert "in fp32, for bf16 is" in made.provenance.engine
    with pytest.raises(PathfmError, match="cannot run in bf16"):
        half("bf16").generate(condition(), steps=2, sampler="sde")
    with pytest.raises(PathfmError, match="runs in fp32 only"):
        load_generator("bundled", precision="bf16")
    with pytest.raises(PathfmError, match="no precision 'int4'"):
        load_generator("bundled", precision="int4")
