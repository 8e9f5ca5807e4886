"""Which cause an exception of huggingface_hub, or of what is below it, stands for."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING

from napari_pathfm.weights._causes import Cause, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

# huggingface_hub speaks through requests up to 0.x, httpx in 1.x and httpx2 in 2.x.
# Which of them is installed is its affair, so their errors are told by their names.
_TRANSPORTS = ("httpx", "httpcore", "requests", "urllib3")
_BROKEN_OFF = (
    "ReadError",
    "RemoteProtocolError",
    "ChunkedEncodingError",
    "ProtocolError",
    "IncompleteRead",
    "ConnectionResetError",
)
_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def finding_of(error: BaseException, *, auto_gate: bool = False) -> Finding | None:
    """Tell the cause; None where it is nothing that a person could meet.

    Parameters
    ----------
    error : Exception
        As huggingface_hub raised it; what it was raised from is looked at too.
    auto_gate : bool
        Whether the hub lets in whoever accepts the licence, without a review.
    """
    for link in _chain(error):
        found = (
            _refused(link, auto_gate) or _disk(link) or _transport(link) or _mode(link)
        )
        if found is not None:
            return found
    return None


def meetable() -> tuple[type[Exception], ...]:
    """Classes of the errors that asking the hub may raise."""
    from huggingface_hub import errors

    # The base of the hub's own error is that of the library which it speaks through.
    transport = errors.HfHubHTTPError.__bases__
    return (OSError, errors.HFValidationError, json.JSONDecodeError, *transport)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Walk from an error to what it was raised from.

    Not to what was being handled by chance: that would explain mistakes away.
    """
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__


def _refused(error: BaseException, auto_gate: bool) -> Finding | None:
    """Read what the hub answered."""
    from huggingface_hub import errors, get_token

    if isinstance(error, errors.LocalEntryNotFoundError):
        return None  # says no more than "not here"; what it came of does
    if isinstance(error, errors.GatedRepoError):
        return Finding(_gate(str(error), auto_gate, get_token() is not None))
    if isinstance(error, errors.RepositoryNotFoundError):
        return Finding(Cause.NO_REPOSITORY)
    if isinstance(error, errors.RevisionNotFoundError):
        return Finding(Cause.NO_REVISION)
    if isinstance(error, errors.EntryNotFoundError):
        return Finding(Cause.NO_FILE)
    answered = getattr(error, "response", None) is not None
    if isinstance(error, errors.HfHubHTTPError) or answered:
        return _status(error)
    if isinstance(error, errors.HFValidationError):
        return Finding(Cause.NO_REPOSITORY)
    if isinstance(error, json.JSONDecodeError):
        return Finding(Cause.HUB_ERROR, "the answer is not the hub's")
    return None


def _gate(said: str, auto_gate: bool, with_token: bool) -> Cause:
    """Tell the states of a request apart by the hub's own words."""
    if not with_token:
        return Cause.NO_TOKEN
    if "awaiting" in said:
        return Cause.ACCESS_PENDING
    if "rejected" in said:
        return Cause.ACCESS_REJECTED
    if "fine-grained" in said:
        return Cause.TOKEN_SCOPE
    return Cause.LICENCE_NOT_ACCEPTED if auto_gate else Cause.ACCESS_NOT_ASKED


def _status(error: BaseException) -> Finding:
    """Read an answer that huggingface_hub has no class for."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if status == 401:
        return Finding(Cause.TOKEN_INVALID)
    if status == 403 and "fine-grained" in str(error):
        return Finding(Cause.TOKEN_SCOPE)
    if status == 429:
        return Finding(Cause.RATE_LIMITED)
    return Finding(Cause.HUB_ERROR, line_of(error) if status is None else f"{status}")


def _disk(error: BaseException) -> Finding | None:
    """Tell a disk that is full or closed."""
    if not isinstance(error, OSError):
        return None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Finding(Cause.NO_DISK)
    if error.errno in _UNWRITABLE and error.filename is not None:
        return Finding(Cause.NOT_WRITABLE, str(error.filename))
    if "Consistency check failed" in str(error):
        return Finding(Cause.INTERRUPTED, "the file has not the size the hub states")
    return None


def _transport(error: BaseException) -> Finding | None:
    """Tell a line that is dead, slow, broken off or not trusted."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    if isinstance(error, LocalEntryNotFoundError):
        return None
    kinds = type(error).__mro__
    ours = isinstance(error, ConnectionError | TimeoutError) or any(
        kind.__module__.startswith(_TRANSPORTS) for kind in kinds
    )
    names = {kind.__name__ for kind in kinds}
    if "OfflineModeIsEnabled" in names:
        return Finding(Cause.OFFLINE_MODE)
    if not ours and not isinstance(error, OSError):
        return None
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Finding(Cause.CERTIFICATE)
    if not ours:
        return None
    if any("Timeout" in name for name in names):
        return Finding(Cause.SLOW_NETWORK)
    if names.intersection(_BROKEN_OFF):
        return Finding(Cause.INTERRUPTED)
    return Finding(Cause.NO_NETWORK, line_of(error))


def _mode(error: BaseException) -> Finding | None:
    """Tell why a file is not here where nothing else was raised."""
    from huggingface_hub import constants, errors

    if not isinstance(error, errors.LocalEntryNotFoundError | errors.FileMetadataError):
        return None
    if error.__cause__ is not None:
        return None
    if isinstance(error, errors.FileMetadataError):
        return Finding(Cause.HUB_ERROR, "the answer is not the hub's")
    offline = constants.HF_HUB_OFFLINE
    return Finding(Cause.OFFLINE_MODE if offline else Cause.NO_NETWORK)


def line_of(error: BaseException) -> str:
    """Take the first line of what an error says."""
    text = str(error).strip()
    return text.splitlines()[0][:160] if text else type(error).__name__
