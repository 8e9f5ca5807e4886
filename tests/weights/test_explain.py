"""Causes that a hub on the loopback address cannot be made to give."""

from __future__ import annotations

import errno
import os
import ssl

import pytest

from napari_pathfm.errors import WeightsError
from napari_pathfm.weights import Cause, hub_file
from napari_pathfm.weights._explain import finding_of
from napari_pathfm.weights._integrity import hops, sha256, stated_sha256


def untrusted():
    return ssl.SSLCertVerificationError(
        1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed"
    )


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), Cause.NO_DISK),
        (PermissionError(errno.EACCES, "denied", "/cache"), Cause.NOT_WRITABLE),
        (untrusted(), Cause.CERTIFICATE),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Cause.NO_NETWORK),
        (TimeoutError("timed out"), Cause.SLOW_NETWORK),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Cause.INTERRUPTED),
    ],
)
def test_what_the_machine_says(error, cause):
    assert finding_of(error).cause is cause
    # And as huggingface_hub wraps it.
    wrapped = RuntimeError("an error happened")
    wrapped.__cause__ = error
    assert finding_of(wrapped).cause is cause


def test_a_mistake_in_the_program_is_not_explained_away(monkeypatch):
    mistake = TypeError("no")
    mistake.__context__ = ConnectionRefusedError("while this was being handled")
    assert finding_of(mistake) is None

    def broken(*_, **__):
        raise TypeError("a mistake")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", broken)
    with pytest.raises(TypeError, match="a mistake"):
        hub_file("makers/model", "model.safetensors", revision=None, access_page="")


def test_a_certificate_that_is_not_trusted(monkeypatch):
    def refused(*_, **__):
        raise OSError("cannot connect") from untrusted()

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refused)
    with pytest.raises(WeightsError, match=r"not trusted.*SSL_CERT_FILE"):
        hub_file("makers/model", "model.safetensors", revision=None, access_page="")


def test_a_blob_that_is_shared_still_has_its_checksum(tmp_path):
    """A snapshot links to a blob, which links to a store under another name."""
    shared = tmp_path / "shared" / "other-name"
    shared.parent.mkdir()
    shared.write_bytes(b"weights")
    blob = tmp_path / "blobs" / sha256(shared)
    snapshot = tmp_path / "snapshots" / "0" / "model.safetensors"
    for link, target in ((blob, shared), (snapshot, blob)):
        link.parent.mkdir(parents=True)
        link.symlink_to(os.path.relpath(target, link.parent))
    assert hops(snapshot) == [snapshot, blob, shared]
    assert stated_sha256(snapshot, snapshot.parent) == sha256(shared)
