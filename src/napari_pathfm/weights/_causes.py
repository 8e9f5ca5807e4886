"""Why a model cannot be used, and the way out of each, in one table."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Cause(StrEnum):
    """What stands between a person and a model."""

    OFFLINE_MODE = "offline-mode"
    NO_NETWORK = "no-network"
    CERTIFICATE = "untrusted-certificate"
    SLOW_NETWORK = "slow-network"
    RATE_LIMITED = "rate-limited"
    HUB_ERROR = "hub-error"
    INTERRUPTED = "interrupted-download"
    NO_TOKEN = "no-token"  # noqa: S105 - a cause, not a secret
    TOKEN_INVALID = "token-invalid"  # noqa: S105
    TOKEN_SCOPE = "token-without-gated"  # noqa: S105
    LICENCE_NOT_ACCEPTED = "licence-not-accepted"
    ACCESS_NOT_ASKED = "access-not-asked"
    ACCESS_PENDING = "access-pending"
    ACCESS_REJECTED = "access-rejected"
    NO_REPOSITORY = "no-repository"
    NO_REVISION = "no-revision"
    NO_FILE = "no-file"
    NOT_HERE = "not-here"
    MISSING = "missing-file"
    PARTIAL = "partial-file"
    LFS_POINTER = "lfs-pointer"
    CHECKSUM = "checksum"
    CORRUPT = "corrupt-file"
    UNSAFE_PICKLE = "unsafe-pickle"
    ARCHITECTURE = "wrong-architecture"
    NO_DISK = "no-disk"
    NOT_WRITABLE = "cache-not-writable"
    NO_MEMORY = "no-memory"
    NO_GPU = "no-gpu"
    NO_DEVICE = "no-device"
    GPU_TOO_SMALL = "gpu-too-small"
    NO_CONSENT = "no-consent"


class Advice(NamedTuple):
    """What a cause means, and what to do.

    Attributes
    ----------
    means : str
        A clause; ``{model}`` may stand in it.
    remedy : str
        An instruction; ``{repo}``, ``{page}`` and ``{model}`` may stand in it.
    """

    means: str
    remedy: str


_LOCAL = "or give a downloaded folder with --weights DIR"
_AGAIN = "download it again"

ADVICE: dict[Cause, Advice] = {
    Cause.OFFLINE_MODE: Advice(
        "HF_HUB_OFFLINE is set, so the hub is not asked",
        f"unset HF_HUB_OFFLINE and go online once, {_LOCAL}",
    ),
    Cause.NO_NETWORK: Advice(
        "the hub cannot be reached",
        f"check network and proxy (HTTPS_PROXY, HF_ENDPOINT), {_LOCAL}",
    ),
    Cause.CERTIFICATE: Advice(
        "the hub's certificate is not trusted, as behind a proxy that inspects traffic",
        "set SSL_CERT_FILE (and REQUESTS_CA_BUNDLE for huggingface_hub before 1.0) to "
        f"your institution's certificate bundle, {_LOCAL}",
    ),
    Cause.SLOW_NETWORK: Advice(
        "the hub did not answer in time",
        f"try again, allow more time with HF_HUB_DOWNLOAD_TIMEOUT=60, {_LOCAL}",
    ),
    Cause.RATE_LIMITED: Advice(
        "the hub takes no more requests from this address for now",
        f"wait some minutes; with a token (`hf auth login`) more are allowed, {_LOCAL}",
    ),
    Cause.HUB_ERROR: Advice(
        "the hub, or a proxy before it, answered with an error",
        f"try again later (https://status.huggingface.co), {_LOCAL}",
    ),
    Cause.INTERRUPTED: Advice(
        "the download broke off; the partial file is not used",
        f"try again: it goes on where it stopped if it can, {_LOCAL}",
    ),
    Cause.NO_TOKEN: Advice(
        "{model} is gated and no token is set",
        "ask for access at {page}, then run `hf auth login`, " + _LOCAL,
    ),
    Cause.TOKEN_INVALID: Advice(
        "the hub does not know this token: it was revoked, has expired or is mistyped",
        "make a new one at https://huggingface.co/settings/tokens and run "
        f"`hf auth login` (HF_TOKEN goes before it), {_LOCAL}",
    ),
    Cause.TOKEN_SCOPE: Advice(
        "this token may not read gated repositories",
        "tick 'public gated repositories' for it at "
        f"https://huggingface.co/settings/tokens, or make a read token, {_LOCAL}",
    ),
    Cause.LICENCE_NOT_ACCEPTED: Advice(
        "the licence of {model} has not been accepted by this account",
        "accept its licence at {page} with the account of the token (access follows "
        f"at once), {_LOCAL}",
    ),
    Cause.ACCESS_NOT_ASKED: Advice(
        "this account has no access to {model}",
        "ask for access and accept its licence at {page} with the account of the "
        f"token; its makers review requests, {_LOCAL}",
    ),
    Cause.ACCESS_PENDING: Advice(
        "access to {model} was asked for and is awaiting review by its makers",
        "wait for their e-mail, or see {page}; many want an institutional address as "
        "the account's primary e-mail",
    ),
    Cause.ACCESS_REJECTED: Advice(
        "the makers of {model} refused access to this account",
        "write to them through {page}, or choose another model",
    ),
    Cause.NO_REPOSITORY: Advice(
        "{repo} was not found, or this account may not see it",
        "ask for access at {page} and run `hf auth login`, " + _LOCAL,
    ),
    Cause.NO_REVISION: Advice(
        "{repo} lacks the expected revision",
        f"update napari-pathfm, {_LOCAL}",
    ),
    Cause.NO_FILE: Advice(
        "{repo} lacks the expected file",
        f"update napari-pathfm, {_LOCAL}",
    ),
    Cause.NOT_HERE: Advice(
        "the weights are not on this machine",
        f"use the model once online and they are fetched, {_LOCAL}",
    ),
    Cause.MISSING: Advice(
        "the folder lacks files of {model}",
        "download the repository whole (`hf download {repo} --local-dir DIR`) and "
        "give it with --weights DIR",
    ),
    Cause.PARTIAL: Advice(
        "a weight file is cut short",
        _AGAIN + " (`hf download {repo} --force-download`)",
    ),
    Cause.LFS_POINTER: Advice(
        "a weight file is a Git LFS pointer, not the weights",
        "run `git lfs pull` in the folder, or `hf download {repo} --local-dir DIR`",
    ),
    Cause.CHECKSUM: Advice(
        "a weight file is not the one that was published",
        _AGAIN + " (`hf download {repo} --force-download`)",
    ),
    Cause.CORRUPT: Advice(
        "a file cannot be read",
        _AGAIN + " (`hf download {repo} --force-download`)",
    ),
    Cause.UNSAFE_PICKLE: Advice(
        "a weight file is a pickle that would run code, and was not opened",
        "give a safetensors file from {page}",
    ),
    Cause.ARCHITECTURE: Advice(
        "the weights are of another architecture",
        "give the weights published for {model}, from {page}",
    ),
    Cause.NO_DISK: Advice(
        "the disk has no room for the download",
        f"free some, or point HF_HOME at a larger disk, {_LOCAL}",
    ),
    Cause.NOT_WRITABLE: Advice(
        "the hub's cache cannot be written",
        f"point HF_HOME at a folder of yours, {_LOCAL}",
    ),
    Cause.NO_MEMORY: Advice(
        "memory does not suffice for the model",
        "close other programs, or choose a smaller model",
    ),
    Cause.NO_GPU: Advice(
        "there is no GPU, so the model runs on the CPU, slowly",
        "use a machine with a GPU for whole slides, or choose a smaller model",
    ),
    Cause.NO_DEVICE: Advice(
        "this machine has no such device",
        "use --device cpu, cuda, mps or auto",
    ),
    Cause.GPU_TOO_SMALL: Advice(
        "the GPU's memory does not suffice for the model",
        "close what else uses the GPU, or use --device cpu",
    ),
    Cause.NO_CONSENT: Advice(
        "{repo} brings Python code that has to run here, and nobody has agreed to it",
        "read its code, then agree with --trust-remote-code or in the panel",
    ),
}


class Finding(NamedTuple):
    """A cause with what was seen of it."""

    cause: Cause
    detail: str = ""


def words(found: Finding, *, model: str, repo: str, page: str) -> tuple[str, str]:
    """Say what was found and what to do, for a model, its repository and its page."""
    names = {"model": model, "repo": repo, "page": page}
    means, remedy = (text.format(**names) for text in ADVICE[found.cause])
    return (f"{means} ({found.detail})" if found.detail else means), remedy
