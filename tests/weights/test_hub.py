"""What a person is told when the hub does not hand the weights out."""

from __future__ import annotations

import pytest
from fake_hub import REPO
from huggingface_hub import constants
from huggingface_hub.utils import _http

from napari_pathfm.errors import WeightsError
from napari_pathfm.weights import hub_file, hub_folder

PAGE = "https://huggingface.co/makers/model"
NAME = "model.safetensors"


@pytest.fixture
def hub(fake_hub):
    fake_hub.files = {NAME: bytes(range(256)) * 64, "config.json": b'{"width": 192}'}
    return fake_hub


def ask(repo=REPO, name=NAME, revision=None):
    return hub_file(repo, name, revision=revision, access_page=PAGE)


def refused(match, **keywords):
    with pytest.raises(WeightsError, match=match) as caught:
        ask(**keywords)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_file_is_fetched_once_and_then_found(hub):
    path = ask()
    assert path.read_bytes() == hub.files[NAME]
    hub.fault = "500"
    assert ask() == path


def test_a_folder_is_fetched(hub):
    folder = hub_folder(REPO, revision=None, access_page=PAGE)
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", NAME]


def test_gated_without_token(hub):
    hub.gated = "manual"
    assert PAGE in refused(r"gated and no token is set.*hf auth login.*--weights")


@pytest.mark.parametrize(
    ("access", "says"),
    [
        ("none", "ask for access and accept its licence at https://hugg"),
        ("pending", "awaiting review"),
        ("rejected", "refused access"),
        ("scope", "public gated repositories"),
    ],
)
def test_gated_with_a_token_that_has_no_access(hub, monkeypatch, access, says):
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    hub.gated, hub.access = "manual", access
    refused(says)


def test_a_token_that_the_hub_does_not_know(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    refused("does not know this token.*settings/tokens")


def test_unknown_repository_revision_and_file(hub):
    refused("was not found", repo="makers/other")
    refused("lacks the expected revision", revision="f" * 40)
    refused("lacks the expected file", name="other.safetensors")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("429", "takes no more requests"),
        ("500", "answered with an error"),
        ("html", "answered with an error"),
        ("truncated", "broke off"),
        ("reset", "broke off"),
        ("corrupt", "not the one that was published"),
    ],
)
def test_a_failed_download_is_explained_and_never_used(hub, fault, says):
    hub.fault = fault
    refused(says)
    assert not list(hub.cache.rglob(NAME))
    # What is left, if anything, is marked as unfinished, and the next attempt is whole.
    whole = [p for p in hub.cache.rglob("blobs/*") if p.suffix != ".incomplete"]
    assert whole == []
    hub.fault = ""
    assert ask().read_bytes() == hub.files[NAME]


def test_a_corrupt_file_in_a_folder(hub):
    hub.fault = "corrupt"
    with pytest.raises(WeightsError, match="not the one that was published"):
        hub_folder(REPO, revision=None, access_page=PAGE)
    assert not [p for p in hub.cache.rglob("*") if p.name in hub.files]
    hub.fault = ""
    folder = hub_folder(REPO, revision=None, access_page=PAGE)
    assert (folder / NAME).read_bytes() == hub.files[NAME]
    assert (folder / "config.json").read_bytes() == hub.files["config.json"]


def test_slow(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.3)
    retry = "huggingface_hub.file_download._ETAG_RETRY_TIMEOUT"
    monkeypatch.setattr(retry, 0.3, raising=False)
    hub.fault = "slow"
    refused("did not answer in time.*HF_HUB_DOWNLOAD_TIMEOUT")


def test_nobody_listens(hub):
    hub.close()
    refused("cannot be reached.*--weights DIR")


def test_offline_says_so(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    # Up to 0.x huggingface_hub asked for the mode when it made its session.
    reset = getattr(_http, "reset_sessions", lambda: None)
    reset()
    refused("HF_HUB_OFFLINE")
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
        hub_folder(REPO, revision=None, access_page=PAGE)
    reset()
    assert hub.asked == []
