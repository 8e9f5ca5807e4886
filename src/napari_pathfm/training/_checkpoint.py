"""What a run keeps on disk: its log, its state, its model with provenance.

Everything is written to a neighbour and moved into place, so that a kill at any moment
leaves the last whole version. ``state.pt`` decides: lines of the log behind it are
dropped when the run goes on, and written again.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from napari_pathfm.errors import OutputError, PathfmError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

#: What a run started with; it must not differ when the run goes on.
STARTED = "run.json"


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], provenance: Mapping[str, Any]
) -> None:
    """Write safetensors whose header carries the provenance, whole or not at all."""
    kept = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    part = path.with_name(path.name + ".part")
    told = {"format": "pt", "provenance": json.dumps(provenance)}
    save_file(kept, part, metadata=told)
    os.replace(part, path)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn what goes wrong while files are written into one line.

    Raises
    ------
    OutputError
        Naming the folder.
    """
    try:
        yield
    # What torch and safetensors raise for a full disk.
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise OutputError(
            f"{out} cannot be written ({reason}): the last checkpoint is kept; make "
            "room, and run the same command again"
        ) from error


def provenance(started: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Say what made a model: recipe, config, data, teacher, steps, seed, versions."""
    from napari_pathfm import __version__

    return {
        **started,
        "steps": step,
        "seed": started["config"]["run"]["seed"],
        "software": f"napari-pathfm {__version__}, torch {torch.__version__}",
    }


def begin(out: Path, started: dict[str, Any]) -> None:
    """Note what a run starts with, or compare it if the run is there already.

    Raises
    ------
    PathfmError
        Naming the first thing that differs.
    """
    path = out / STARTED
    started = json.loads(json.dumps(started))
    if not path.exists():
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PathfmError(f"{out} is no folder for a run ({error})") from error
        write_text(path, json.dumps(started, indent=1) + "\n")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PathfmError(f"{path} is damaged ({error}): take another --out") from error
    if what := _difference(before, started, ""):
        raise PathfmError(
            f"{out} was begun with another {what}; set it back, or take another --out"
        )


def _difference(before: Any, now: Any, name: str) -> str | None:
    """Name the first value that differs, of two trees of JSON."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            # What changes no result may change.
            if name == "config" and key == "machine":
                continue
            inner = f"{name}.{key}" if name else key
            if what := _difference(before.get(key), now.get(key), inner):
                return what
        return None
    return None if before == now else f"{name} ({before!r}, now {now!r})"


def read_state(out: Path) -> dict[str, Any] | None:
    """Read the state of a run, if it has one, and drop lines of the log behind it.

    Raises
    ------
    PathfmError
        If the state is damaged.
    """
    path = out / "state.pt"
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    # What torch raises for files that are not its own.
    except (RuntimeError, OSError, EOFError, ValueError, UnpicklingError) as error:
        raise PathfmError(f"{path} is damaged: delete it to begin anew") from error
    return state


def trim_log(out: Path, step: int) -> None:
    """Drop the lines of the log behind a step, and one that was cut short."""
    path = out / "log.jsonl"
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n") or json.loads(line)["step"] > step:
            break
        kept.append(line)
    write_text(path, "".join(kept))


def write_state(out: Path, state: Mapping[str, Any]) -> None:
    """Write the state that a run goes on from."""
    part = out / "state.pt.part"
    torch.save(state, part)
    os.replace(part, out / "state.pt")


def log(out: Path, line: Mapping[str, Any]) -> None:
    """Add a line to the log."""
    with (out / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
