"""From a name to an encoder with its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm import weights as weight_files
from napari_pathfm.encoders._encoder import Encoder, known_pooling
from napari_pathfm.encoders._engine import by_openvino, compiled, known_engine
from napari_pathfm.encoders._precision import known_precision, settle
from napari_pathfm.encoders._spec import EncoderSpec
from napari_pathfm.encoders._user import encoder_spec
from napari_pathfm.errors import SpecError, WeightsError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


def load_encoder(
    name: str | Path | EncoderSpec = "bundled",
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    pooling: str | None = None,
    precision: str = "auto",
    engine: str = "torch",
) -> Encoder:
    """Load an encoder of the catalogue, or one that a file describes.

    Parameters
    ----------
    name : str, path or EncoderSpec
        ``"bundled"``, ``"h0-mini"``, ..., a name among the person's own, a file that
        describes an encoder (``"my-vit.toml"``), or what `encoder_spec` gave.
    weights : path, optional
        A folder laid out as the published repository, or a weight file; else what the
        description names, the bundled file or the hub.
    device : str
        ``"auto"`` (CUDA, then Apple's MPS, then CPU) or a torch device.
    pooling : {"cls", "cls+mean"}, optional
        What stands for a tile in a store; the catalogue's choice where not given.
    precision : {"auto", "fp32", "bf16", "fp16"}
        ``"auto"`` is the fastest that the device computes in hardware, if on real
        tissue it gives what fp32 does with these weights (cosine of 0.999 and more),
        else fp32; see `Encoder.precision`.
    engine : {"torch", "compile", "openvino"}
        What computes it. ``"compile"`` takes half a minute to begin with, a compiler on
        a CPU, and falls back to ``"torch"`` with a line in the log; ``"openvino"`` is
        for CPUs and needs the extra ``openvino``. Both are checked as a precision is,
        and run whole tiles only: fields of another size go through PyTorch.

    Raises
    ------
    UnknownModelError
        If there is no such name.
    SpecError
        If the file describes no encoder, or not the one that is built.
    WeightsError
        If the weights cannot be had, or do not fit the architecture exactly.
    PathfmError
        If there is no such device, pooling, precision or engine, or one that was asked
        for by name is not faithful to fp32 or cannot be had.
    """
    from napari_pathfm.encoders._device import choose_device

    spec = name if isinstance(name, EncoderSpec) else encoder_spec(name)
    if pooling is not None:
        known_pooling(pooling)
    known_precision(precision)
    known_engine(engine)
    there = choose_device(device)
    path, origin = _find(spec, weights)
    network = _with_weights(spec, path)
    revision = f"{origin}:{weight_files.digest(path)}"
    if spec.digest is not None:
        # Other stores, other images: the weights alone do not say what was done.
        revision = f"{revision}+{spec.digest}"
    run = None
    if engine == "openvino":
        network, _ = settle(spec, network, there, "fp32")
        run, settled = by_openvino(spec, network, there, precision)
        revision = f"{revision}+openvino"
    else:
        network, settled = settle(spec, network, there, precision)
        if engine == "compile":
            run = compiled(spec, network, there)
            engine = "torch" if run is None else engine
    if settled.name != "fp32":
        revision = f"{revision}+{settled.name}"
    return Encoder(spec, network, revision, there, pooling, settled, engine, run)


def _with_weights(spec: EncoderSpec, path: Path) -> nn.Module:
    """Build the network and fill it with exactly the tensors it has."""
    import torch

    from napari_pathfm.encoders._vit import build_vit

    with torch.device("meta"):
        network = build_vit(spec)
    count = sum(p.numel() for p in network.parameters())
    if spec.parameters is not None and count != spec.parameters:
        if spec.source is not None:
            raise SpecError(
                f"{spec.source}: parameters: the network has {count:,}, "
                f"not {spec.parameters:,}"
            )
        raise WeightsError(
            f"{spec.title} has {spec.parameters:,} parameters, this build has "
            f"{count:,}: timm may have changed; install the one in constraints.txt"
        )
    tensors = spec.tensors(weight_files.read_tensors(path))
    weight_files.load_strict(network, tensors, model=spec.title, path=path)
    if any(buffer.is_meta for buffer in network.buffers()):
        # What a network computes when it is built, such as rotary frequencies, is in no
        # checkpoint.
        network = build_vit(spec)
        weight_files.load_strict(network, tensors, model=spec.title, path=path)
    return network


def _find(spec: EncoderSpec, weights: str | Path | None) -> tuple[Path, str]:
    """Give the weight file and where it came from."""
    names = spec.weight_files
    if weights is None:
        weights = spec.local_weights
    if weights is not None:
        return weight_files.local_file(weights, names, spec.title), "local"
    if spec.bundled:
        return weight_files.bundled_path(spec.bundled[0]), "bundled"
    if spec.hub_repo is None:
        raise WeightsError(
            f"no weights for {spec.title}: add `weights` or `hub_repo` to "
            f"{spec.source}, or give --weights DIR"
        )
    origin = f"hub@{(spec.hub_revision or 'main')[:8]}"
    for name in names[1:]:
        # What was fetched before is used before anything is fetched.
        found = weight_files.cached_file(
            spec.hub_repo, name, revision=spec.hub_revision
        )
        if found is not None:
            return found, origin
    page = spec.access_page or spec.hub_repo
    path = weight_files.hub_file(
        spec.hub_repo, names[0], revision=spec.hub_revision, access_page=page
    )
    return path, origin
