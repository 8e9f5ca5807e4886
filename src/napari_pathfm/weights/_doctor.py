"""The doctor: what stands between a person and a model, in the order of looking."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.errors import WeightsError
from napari_pathfm.weights._causes import Cause
from napari_pathfm.weights._check import Check, Diagnosis, against, passed
from napari_pathfm.weights._inspect import Unreadable, read_config, read_shapes
from napari_pathfm.weights._integrity import sha256, stated_sha256
from napari_pathfm.weights._machine import check_device, check_disk, check_memory
from napari_pathfm.weights._place import (
    Place,
    bundled_place,
    cached_place,
    local_place,
    unfinished,
)
from napari_pathfm.weights._remote import Remote, ask_hub, check_network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from napari_pathfm.weights._check import Outcome
    from napari_pathfm.weights._remote import RemoteFile
    from napari_pathfm.weights._spec import ModelSpec

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


def diagnose(
    spec: ModelSpec,
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    trust_remote_code: bool = False,
) -> Diagnosis:
    """Find out whether a model can be used here, and if not, what to do.

    No weights are downloaded and none loaded: the hub is asked for metadata, files for
    their headers and checksums. With `weights` the network is left alone.

    Parameters
    ----------
    spec : ModelSpec
        An entry of a catalogue.
    weights : path, optional
        A folder laid out as the published repository, or a weight file; else the
        package, the hub's cache and the hub.
    device : str
        Where the model would run: ``"auto"`` or a torch device.
    trust_remote_code : bool
        Whether the user agrees to run code that a repository brings.

    Returns
    -------
    Diagnosis
        Its checks in order, and whether the model is usable.
    """
    checks: list[Check] = []
    remote = Remote(())
    place: Place | None
    weights = spec.local_weights if weights is None else weights
    if weights is not None:
        place, status = local_place(spec, weights), "local"
    elif spec.bundled:
        place, status = bundled_place(spec), "bundled"
    else:
        place, status = cached_place(spec), "cached"
        remote = ask_hub(spec) if spec.hub_repo else remote
        here = place is not None and place.complete
        # Whoever has the files needs no hub.
        checks += _noted(remote.checks) if here else remote.checks
        if not here:
            status = "partial" if place or unfinished(spec) else "absent"
            checks += _to_download(spec, remote, place)
    shapes: list[Mapping[str, Tensor]] = []
    if place is not None:
        checks += _files(spec, place, shapes, remote, status)
    parameters = _parameters(spec, shapes, remote)
    checks.append(check_memory(spec, parameters))
    checks.append(check_device(spec, parameters, device))
    if getattr(spec, "remote_code", False):
        checks.append(_consent(spec, trust_remote_code))
        if status == "cached" and not trust_remote_code:
            status = "needs consent"
    return Diagnosis(spec.name, spec.title, status, spec.access_page, tuple(checks))


def diagnose_machine(device: str = "auto") -> tuple[Check, ...]:
    """Look at network, token, disk, memory and device, without a model in mind.

    Parameters
    ----------
    device : str
        ``"auto"`` or a torch device.
    """
    return (
        # Everything but a download works without.
        *_noted(check_network()),
        check_disk(None, 0),
        check_memory(None, None),
        check_device(None, None, device),
    )


def model_status(spec: ModelSpec) -> str:
    """Tell what of a model is on this machine, without asking the network.

    Returns
    -------
    str
        ``"bundled"``, ``"local"`` where the entry names a folder or file,
        ``"cached"``, ``"partial"``, ``"absent"``, or ``"needs consent"`` for one that
        is cached and brings code of its own.
    """
    if spec.bundled:
        return "bundled"
    if spec.local_weights is not None:
        here = local_place(spec, spec.local_weights).complete
        return "local" if here else "absent"
    place = cached_place(spec)
    if place is None or not place.complete:
        return "partial" if place or unfinished(spec) else "absent"
    return "needs consent" if getattr(spec, "remote_code", False) else "cached"


def _noted(checks: tuple[Check, ...]) -> list[Check]:
    return [replace(c, outcome="noted") if c.outcome == "failed" else c for c in checks]


def _to_download(spec: ModelSpec, remote: Remote, place: Place | None) -> list[Check]:
    """Look at the room for what is missing; say that it is, if the hub did not."""
    if remote.files:
        folder = place.folder if place else None
        size = sum(
            file.size or 0
            for name, file in remote.files.items()
            if folder is None or not (folder / name).is_file()
        )
        return [check_disk(spec, size)]
    if any(check.outcome == "failed" for check in remote.checks):
        return []
    return [against("files", Cause.NOT_HERE, spec)]


def _files(
    spec: ModelSpec,
    place: Place,
    shapes: list[Mapping[str, Tensor]],
    remote: Remote,
    status: str,
) -> list[Check]:
    """Read every file as far as needed; fill in what tensors there are."""
    if place.missing:
        local = status in ("local", "bundled")
        if local and not place.folder.is_dir():
            what = "is a file" if place.folder.exists() else "does not exist"
            detail = f"{place.folder} {what}"
            return [against("files", Cause.MISSING, spec, detail)]
        # What the hub has will be fetched; what a folder lacks will not.
        lacking = f"{', '.join(place.missing[:3])} in {place.folder}"
        outcome: Outcome = "failed" if local else "noted"
        cause = Cause.MISSING if local else Cause.INTERRUPTED
        missing = [against("files", cause, spec, lacking, outcome=outcome)]
    else:
        missing = [passed("files", _counted(place))]
    told = False
    for path in (*place.configs, *place.weights):
        try:
            if path in place.configs:
                read_config(path)
                continue
            tensors = read_shapes(path)
        except Unreadable as problem:
            return [*missing, against("files", *_detailed(spec, problem))]
        check = _checksum(spec, path, place.folder, remote.files)
        if check is not None:
            return [*missing, check]
        shapes.append(tensors)
        try:
            told = spec.check_tensors(tensors, path) or told
        except WeightsError as error:
            return [*missing, _misfit(spec, tensors, error)]
    return [*missing, *_verdict(spec, told, place)]


def _counted(place: Place) -> str:
    n = len(place.weights)
    return f"{n} weight {'file' if n == 1 else 'files'} in {place.folder}"


def _detailed(spec: ModelSpec, problem: Unreadable) -> tuple[Cause, ModelSpec, str]:
    return problem.finding.cause, spec, problem.finding.detail


def _verdict(spec: ModelSpec, told: bool, place: Place) -> list[Check]:
    if not place.weights:
        return []
    if told:
        return [passed("architecture", f"every tensor of {spec.title}, and no other")]
    return [passed("architecture", "stands in the files themselves; they are whole")]


def _checksum(
    spec: ModelSpec, path: Path, folder: Path, files: Mapping[str, RemoteFile]
) -> Check | None:
    """Compare a file with what the hub says, or said when it was downloaded."""
    stated = stated_sha256(path, folder)
    name = path.relative_to(folder).as_posix()
    if name in files and files[name].sha256:
        stated = files[name].sha256
    if stated is None or sha256(path) == stated:
        return None
    return against("files", Cause.CHECKSUM, spec, str(path))


def _misfit(
    spec: ModelSpec, tensors: Mapping[str, Tensor], error: WeightsError
) -> Check:
    """Say which tensors, and how many parameters against how many."""
    # The way out stands in the check already.
    said = str(error).rsplit(": ", 1)[0]
    expected = getattr(spec, "parameters", None)
    count = _count(tensors)
    if expected is not None and count != expected:
        said += f"; {count:,} parameters, not {expected:,}"
    return against("architecture", Cause.ARCHITECTURE, spec, said)


def _count(tensors: Mapping[str, Tensor]) -> int:
    return sum(t.numel() for t in tensors.values() if t.is_floating_point())


def _parameters(
    spec: ModelSpec, shapes: list[Mapping[str, Tensor]], remote: Remote
) -> int | None:
    """Give the parameter count: as stated, as found, or by the size of the files."""
    stated: int | None = getattr(spec, "parameters", None)
    if stated is not None:
        return stated
    if shapes:
        return sum(map(_count, shapes))
    sizes = [
        file.size
        for name, file in remote.files.items()
        if file.size and Path(name).suffix in _WEIGHTS
    ]
    return sum(sizes) // 4 if sizes else None


def _consent(spec: ModelSpec, agreed: bool) -> Check:
    if agreed:
        return passed("code", f"you agree to run the code of {spec.hub_repo}")
    return against("code", Cause.NO_CONSENT, spec)
