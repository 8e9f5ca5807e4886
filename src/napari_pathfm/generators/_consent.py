"""Whether a person agreed to run the code that a repository brings.

An answer holds for exactly the code that was there: it is kept by the SHA-256 of all
Python files of the repository, so that other code, or another revision of it, is asked
for again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from typing import TYPE_CHECKING

from napari_pathfm.errors import OutputError, WeightsError
from napari_pathfm.weights import CONFIG_VARIABLE, config_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_pathfm.generators._spec import GeneratorSpec


def consent_file() -> Path:
    """Where answers are kept: ``consent.json`` in the user's configuration folder.

    ``NAPARI_PATHFM_CONFIG`` names another folder.
    """
    return config_folder() / "consent.json"


def code_digest(folders: Sequence[Path]) -> str:
    """SHA-256 of all Python files below the folders, with their names."""
    total = hashlib.sha256()
    for number, folder in enumerate(folders):
        for path in sorted(folder.rglob("*.py")):
            name = f"{number}/{path.relative_to(folder).as_posix()}"
            content = path.read_bytes()
            total.update(f"{name}\0{len(content)}\0".encode())
            total.update(content)
    return total.hexdigest()


def agreed(digest: str) -> bool:
    """Whether a person agreed to this very code before."""
    return digest in _answers()


def require_consent(
    spec: GeneratorSpec, folders: Sequence[Path], *, trust_remote_code: bool
) -> None:
    """Go on only if the code may run; remember the answer that is given now.

    Raises
    ------
    WeightsError
        If nobody agreed to this code.
    OutputError
        If the answer cannot be kept.
    """
    digest = code_digest(folders)
    if agreed(digest):
        return
    if not trust_remote_code:
        raise no_consent(spec, " and ".join(map(str, folders)))
    _remember(digest, spec.name, folders)


def no_consent(spec: GeneratorSpec, place: str) -> WeightsError:
    """Give the error that says how to agree."""
    return WeightsError(
        f"{spec.title} runs Python code from {place}: read it, then agree with "
        "--trust-remote-code or in the panel; the answer holds until that code changes"
    )


def _answers() -> dict[str, dict[str, str]]:
    path = consent_file()
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        # A damaged file agrees to nothing; the next answer replaces it.
        return {}
    return found if isinstance(found, dict) else {}


def _remember(digest: str, name: str, folders: Sequence[Path]) -> None:
    path = consent_file()
    answers = _answers()
    answers[digest] = {"generator": name, "code": ", ".join(map(str, folders))}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, suffix=".part", delete=False
        ) as file:
            json.dump(answers, file, indent=1, sort_keys=True)
        os.replace(file.name, path)
    except OSError as error:
        raise OutputError(
            f"the consent cannot be kept in {path} ({error.strerror}): "
            f"name another folder in {CONFIG_VARIABLE}"
        ) from error
