"""What the hub says of a model: whether it is there, and whether we may have it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_pathfm.weights._causes import Cause, Finding
from napari_pathfm.weights._check import Check, against, passed
from napari_pathfm.weights._explain import finding_of, meetable
from napari_pathfm.weights._hub import retrying_quietly
from napari_pathfm.weights._place import INDEX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_pathfm.weights._spec import ModelSpec

#: Seconds to wait for each answer; a page of the hub takes well under one.
TIMEOUT_S = 10.0
_NAMES = {
    Cause.NO_REPOSITORY: "repository",
    Cause.NO_REVISION: "repository",
    Cause.NO_FILE: "repository",
    Cause.NO_TOKEN: "access",
    Cause.TOKEN_INVALID: "token",
    Cause.TOKEN_SCOPE: "token",
    Cause.LICENCE_NOT_ACCEPTED: "access",
    Cause.ACCESS_NOT_ASKED: "access",
    Cause.ACCESS_PENDING: "access",
    Cause.ACCESS_REJECTED: "access",
}

_OF_ACCOUNT = (
    Cause.LICENCE_NOT_ACCEPTED,
    Cause.ACCESS_NOT_ASKED,
    Cause.ACCESS_PENDING,
    Cause.ACCESS_REJECTED,
)


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: its size, and its SHA-256 where it is a large one."""

    size: int | None
    sha256: str | None


@dataclass(frozen=True)
class Remote:
    """The hub's answers.

    Attributes
    ----------
    checks : tuple of Check
        What was asked.
    files : dict of RemoteFile
        What the model needs, by name; empty where the hub did not say.
    """

    checks: tuple[Check, ...]
    files: Mapping[str, RemoteFile] = field(default_factory=dict)


def ask_hub(spec: ModelSpec) -> Remote:
    """Ask the hub for a model's metadata, and for leave to download it.

    Nothing but answers about the files is fetched. The first failure ends it: what
    comes after would fail for the same reason.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return Remote((against("network", Cause.OFFLINE_MODE, spec),))
    with retrying_quietly():
        try:
            info = _info(spec)
        except meetable() as error:
            return Remote(_unseen(error, spec))
        checks = [passed("network", f"{_host()} answers")]
        files = _needed(spec, info)
        if not files:
            wanted = " or ".join(spec.weight_files)
            checks.append(against("repository", Cause.NO_FILE, spec, wanted))
            return Remote(tuple(checks))
        where = f"{spec.hub_repo} at {(spec.hub_revision or 'main')[:8]}"
        checks.append(passed("repository", f"{where} has what is needed"))
        # The largest file, which is weights: a model card may be open to everybody.
        largest = max(files, key=lambda name: files[name].size or 0)
        checks += _access(spec, info, largest)
    return Remote(tuple(checks), files)


def check_network() -> tuple[Check, ...]:
    """Look for the hub and for a token, without a model in mind."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        says = "HF_HUB_OFFLINE is set: only what is on this machine can be used"
        return (Check("network", "noted", says, Cause.OFFLINE_MODE),)
    with retrying_quietly():
        try:
            get_session().head(constants.ENDPOINT, timeout=TIMEOUT_S)
        except meetable() as error:
            return (_failed(error, None),)
        checks = [passed("network", f"{_host()} answers")]
        checks.append(_token())
    return tuple(checks)


def _unseen(error: Exception, spec: ModelSpec) -> tuple[Check, ...]:
    """Tell a repository that is not there from a token that opens nothing."""
    check = _failed(error, spec)
    if check.cause is Cause.NO_REPOSITORY:
        token = _token()
        if token.outcome == "failed":
            return (token,)
        return (passed("network", f"{_host()} answers"), token, check)
    return (check,)


def _info(spec: ModelSpec) -> Any:
    from huggingface_hub import HfApi, constants

    return HfApi(endpoint=constants.ENDPOINT).model_info(
        str(spec.hub_repo),
        revision=spec.hub_revision,
        files_metadata=True,
        timeout=TIMEOUT_S,
    )


def _needed(spec: ModelSpec, info: Any) -> dict[str, RemoteFile]:
    """Choose from a repository's files those that the model is loaded from."""
    files = {
        one.rfilename: RemoteFile(one.size, _stated(one.lfs))
        for one in info.siblings or ()
    }
    for name in spec.weight_files:
        if name in files:
            return files if name == INDEX else {name: files[name]}
    return {}


def _stated(lfs: Any) -> str | None:
    """Read a checksum, which is an attribute in some versions and a key in others."""
    if lfs is None:
        return None
    return lfs["sha256"] if isinstance(lfs, dict) else getattr(lfs, "sha256", None)


def _access(spec: ModelSpec, info: Any, name: str) -> list[Check]:
    """Ask for the head of a file: the hub answers as it would for the file."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(
        str(spec.hub_repo),
        name,
        revision=spec.hub_revision,
        endpoint=constants.ENDPOINT,
    )
    gate = getattr(info, "gated", None)
    try:
        get_hf_file_metadata(url, timeout=TIMEOUT_S)
    except meetable() as error:
        refused = _failed(error, spec, auto_gate=gate == "auto")
        # Whose token it is matters where that account has to ask or wait.
        return [_token(), refused] if refused.cause in _OF_ACCOUNT else [refused]
    if not gate:
        return [passed("access", "open to everybody")]
    return [_token(), passed("access", "granted to this account")]


def _token() -> Check:
    """Say whose token there is; the hub tells, slowly where it is asked too often."""
    from huggingface_hub import HfApi, constants, get_token

    if get_token() is None:
        return Check("token", "noted", "no token is set; gated models need one")
    try:
        told = HfApi(endpoint=constants.ENDPOINT).whoami()
    except meetable() as error:
        return _failed(error, None)
    return passed("token", f"of the account {told.get('name', '?')}")


def _failed(
    error: Exception, spec: ModelSpec | None, *, auto_gate: bool = False
) -> Check:
    """Turn an error into a check; what nobody could meet is raised."""
    found = finding_of(error, auto_gate=auto_gate)
    if found is None:
        raise error
    found = _plain(found)
    return against(_NAMES.get(found.cause, "network"), found.cause, spec, found.detail)


def _plain(found: Finding) -> Finding:
    """Name the host where it is the host that matters."""
    if found.cause in (Cause.NO_NETWORK, Cause.SLOW_NETWORK, Cause.HUB_ERROR):
        detail = f"{_host()}: {found.detail}" if found.detail else _host()
        return Finding(found.cause, detail)
    return found


def _host() -> str:
    from urllib.parse import urlsplit

    from huggingface_hub import constants

    return urlsplit(constants.ENDPOINT).netloc or str(constants.ENDPOINT)
