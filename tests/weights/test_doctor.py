"""The doctor asks the hub: each answer has its cause, one line, and a way out."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from fake_hub import COMMIT, REPO
from huggingface_hub import constants

from napari_pathfm.encoders import ENCODERS
from napari_pathfm.generators import GENERATORS
from napari_pathfm.weights import (
    ADVICE,
    Cause,
    bundled_path,
    diagnose,
    diagnose_machine,
    hub_file,
    hub_folder,
    model_status,
)

PAGE = "https://huggingface.co/makers/model"
NAME = "model.safetensors"
TINY = dataclasses.replace(
    ENCODERS["bundled"],
    name="tiny",
    title="Tiny",
    bundled=(),
    hub_repo=REPO,
    hub_revision=COMMIT,
    gated=True,
    access_page=PAGE,
)
GENERATOR = dataclasses.replace(
    GENERATORS["cytosyn"], hub_repo=REPO, hub_revision=None, access_page=PAGE
)


@pytest.fixture
def hub(fake_hub):
    fake_hub.files = {NAME: bundled_path("encoder.safetensors").read_bytes()}
    fake_hub.files["README.md"] = b"# A model"
    fake_hub.gated = "manual"
    return fake_hub


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_good")


def fetch():
    return hub_file(REPO, NAME, revision=COMMIT, access_page=PAGE)


def reason(cause, spec=TINY, **keywords):
    """The model is not usable, for this cause, in one line with a way out."""
    diagnosis = diagnose(spec, **keywords)
    assert not diagnosis.usable
    assert diagnosis.reason.cause is cause
    assert diagnosis.reason.remedy
    assert all("\n" not in line for line in diagnosis.lines())
    told = next(c for c in diagnosis.to_json()["checks"] if c["outcome"] == "failed")
    assert told["cause"] == cause.value
    return diagnosis


def names(diagnosis):
    return [check.name for check in diagnosis.checks]


def test_a_granted_model_is_usable_and_nothing_is_downloaded(hub, token):
    diagnosis = diagnose(TINY)
    assert diagnosis.usable
    assert diagnosis.status == "absent"
    assert "will be downloaded" in diagnosis.verdict
    assert names(diagnosis) == [
        "network",
        "repository",
        "token",
        "access",
        "disk",
        "memory",
        "device",
    ]
    assert "account ada" in diagnosis.lines()[2]
    assert not [asked for asked in hub.asked if asked.startswith("GET /makers")]
    assert not list(hub.cache.rglob("*.safetensors"))


def test_an_open_model_needs_no_token(hub):
    hub.gated = False
    diagnosis = diagnose(TINY)
    assert diagnosis.usable
    assert "open to everybody" in "\n".join(diagnosis.lines())


def test_no_token(hub):
    diagnosis = reason(Cause.NO_TOKEN)
    assert PAGE in diagnosis.verdict
    assert "hf auth login" in diagnosis.verdict


@pytest.mark.parametrize(
    ("gate", "access", "cause"),
    [
        ("manual", "none", Cause.ACCESS_NOT_ASKED),
        ("auto", "none", Cause.LICENCE_NOT_ACCEPTED),
        ("manual", "pending", Cause.ACCESS_PENDING),
        ("manual", "rejected", Cause.ACCESS_REJECTED),
    ],
)
def test_a_token_without_access(hub, token, gate, access, cause):
    hub.gated, hub.access = gate, access
    diagnosis = reason(cause)
    assert PAGE in diagnosis.verdict
    # Whose account it is that has to ask.
    assert any("account ada" in check.says for check in diagnosis.checks)


def test_a_token_that_may_not_read_gated_models(hub, token):
    hub.access = "scope"
    diagnosis = reason(Cause.TOKEN_SCOPE)
    assert "settings/tokens" in diagnosis.verdict


def test_an_invalid_token(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_revoked")
    diagnosis = reason(Cause.TOKEN_INVALID)
    assert "hf auth login" in diagnosis.verdict
    assert diagnose_machine()[1].cause is Cause.TOKEN_INVALID


def test_no_such_repository_revision_or_file(hub, token):
    other = dataclasses.replace(TINY, hub_repo="makers/other")
    assert "makers/other was not found" in reason(Cause.NO_REPOSITORY, other).verdict
    odd = dataclasses.replace(TINY, hub_repo="not a repository")
    reason(Cause.NO_REPOSITORY, odd)
    reason(Cause.NO_REVISION, dataclasses.replace(TINY, hub_revision="f" * 40))
    del hub.files[NAME]
    assert NAME in reason(Cause.NO_FILE).verdict


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("429", Cause.RATE_LIMITED),
        ("500", Cause.HUB_ERROR),
        ("html", Cause.HUB_ERROR),
    ],
)
def test_a_hub_that_is_unwell(hub, fault, cause):
    hub.fault = fault
    reason(cause)


def test_a_slow_hub_is_not_waited_for(hub, monkeypatch):
    monkeypatch.setattr("napari_pathfm.weights._remote.TIMEOUT_S", 0.3)
    hub.fault = "slow"
    reason(Cause.SLOW_NETWORK)
    machine = diagnose_machine()
    assert machine[0].cause is Cause.SLOW_NETWORK


def test_nobody_listens(hub):
    hub.close()
    assert hub.address.removeprefix("http://") in reason(Cause.NO_NETWORK).verdict
    machine = diagnose_machine()
    assert (machine[0].cause, machine[0].outcome) == (Cause.NO_NETWORK, "noted")


def test_offline_mode_asks_nobody(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    reason(Cause.OFFLINE_MODE)
    assert diagnose_machine()[0].cause is Cause.OFFLINE_MODE
    assert hub.asked == []


def test_what_is_cached_needs_no_hub(hub, token, monkeypatch):
    assert model_status(TINY) == "absent"
    fetch()
    assert model_status(TINY) == "cached"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    diagnosis = diagnose(TINY)
    assert diagnosis.usable
    assert diagnosis.status == "cached"
    network = diagnosis.checks[0]
    assert (network.outcome, network.cause) == ("noted", Cause.OFFLINE_MODE)
    assert "every tensor of Tiny" in "\n".join(diagnosis.lines())


@pytest.mark.parametrize("online", [True, False])
def test_a_cached_file_that_was_damaged(hub, token, monkeypatch, online):
    blob = fetch().resolve()
    data = bytearray(blob.read_bytes())
    data[-100] ^= 1
    blob.write_bytes(data)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", not online)
    reason(Cause.CHECKSUM)


def test_a_download_that_was_never_finished(hub, token):
    blob = fetch().resolve()
    shutil.rmtree(blob.parents[1] / "snapshots")
    blob.rename(blob.with_suffix(".incomplete"))
    assert model_status(TINY) == "partial"
    assert diagnose(TINY).usable  # it will be fetched again
    hub.access = "pending"
    assert reason(Cause.ACCESS_PENDING).status == "partial"


def test_no_room_on_the_disk(hub, token, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    diagnosis = reason(Cause.NO_DISK)
    assert "1 MiB free" in diagnosis.verdict
    assert "HF_HOME" in diagnosis.verdict


def test_a_cache_that_cannot_be_written(hub, token, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(blocked / "hub"))
    assert "HF_HOME" in reason(Cause.NOT_WRITABLE).verdict


def test_a_generator_with_code_of_its_own(hub, token, cytosyn_folder, monkeypatch):
    hub.files = {"README.md": b"# A pipeline"} | {
        path.relative_to(cytosyn_folder).as_posix(): path.read_bytes()
        for path in cytosyn_folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    hub.access = "pending"
    reason(Cause.ACCESS_PENDING, GENERATOR)
    hub.access = "granted"
    reason(Cause.NO_CONSENT, GENERATOR)
    assert diagnose(GENERATOR, trust_remote_code=True).usable
    assert model_status(GENERATOR) == "absent"
    folder = hub_folder(REPO, revision=None, access_page=PAGE)
    assert model_status(GENERATOR) == "needs consent"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert diagnose(GENERATOR).status == "needs consent"
    assert diagnose(GENERATOR, trust_remote_code=True).status == "cached"
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    assert model_status(GENERATOR) == "partial"
    reason(Cause.OFFLINE_MODE, GENERATOR, trust_remote_code=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert diagnose(GENERATOR, trust_remote_code=True).usable


def test_the_catalogues_have_a_status_without_network(hub):
    for spec in (*ENCODERS.values(), *GENERATORS.values()):
        expected = "bundled" if spec.bundled else "absent"
        assert model_status(spec) == expected
    assert hub.asked == []


def test_every_cause_has_words():
    assert set(ADVICE) == set(Cause)
    for means, remedy in ADVICE.values():
        assert means
        assert remedy
        assert "\n" not in means + remedy


def test_every_cause_stands_in_the_documentation():
    page = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
    rows = page.read_text(encoding="utf-8").splitlines()
    names = {"model": "the model", "repo": "REPO", "page": "the model's page"}
    for cause, advice in ADVICE.items():
        means, remedy = (text.format(**names) for text in advice)
        assert f"| `{cause.value}` | {means} | {remedy} |" in rows
