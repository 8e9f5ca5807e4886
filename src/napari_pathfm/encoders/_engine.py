"""What runs a network: PyTorch as it is, compiled by PyTorch, or OpenVINO.

Each has to give what PyTorch gives, on real tissue, before it is used.
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

from napari_pathfm.encoders._forward import Forward
from napari_pathfm.encoders._precision import (
    FAITHFUL,
    Precision,
    advised_precision,
    agreement,
    one_by_one,
    real_tiles,
)
from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor

    from napari_pathfm.encoders._spec import EncoderSpec

    #: Normalised images ``(N, 3, H, W)`` to tokens ``(N, prefix + h * w, D)``.
    Run = Callable[[Tensor], Tensor]

#: What can be asked for.
ENGINES = ("torch", "compile", "openvino")

# As many tiles as one call takes. A compiled network is made anew for every other
# number, which takes half a minute, so a smaller batch is filled up.
_ROOM = {"cpu": 8, "cuda": 128}

_log = logging.getLogger(__name__)


def known_engine(name: str) -> str:
    """Give the name back, or refuse it."""
    if name not in ENGINES:
        raise PathfmError(f"no engine {name!r}: choose {', '.join(ENGINES)}")
    return name


def compiled(
    spec: EncoderSpec, network: torch.nn.Module, device: torch.device
) -> Run | None:
    """Compile a network with PyTorch for whole tiles, and check it.

    Parameters
    ----------
    spec : EncoderSpec
    network : Module
        For inference, on the device and in its precision; also runs fields of other
        sizes, and all if compiling fails.
    device : torch.device

    Returns
    -------
    callable or None
        None, with a line in the log, if the network does not compile here or is not
        faithful when it is compiled.
    """
    import torch

    room = _ROOM.get(device.type, _ROOM["cpu"])
    # On CUDA its graphs too, which leave nothing between the kernels.
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    # A network is a callable for the compiler, whose types say less.
    fast: Run = torch.compile(network, mode=mode, dynamic=False)

    def run(images: Tensor) -> Tensor:
        count, _, height, width = images.shape
        if (height, width) != (spec.tile_px, spec.tile_px) or count > room:
            whole: Tensor = network(images)
            return whole
        full = images.new_zeros((room, *images.shape[1:]))
        full[:count] = images
        return fast(full)[:count]

    tiles = real_tiles(spec.tile_px)
    wanted = one_by_one(Forward(spec, network), tiles)
    try:
        with warnings.catch_warnings():
            # The compiler's own, about its parts; nothing a person could do.
            warnings.simplefilter("ignore")
            ours = one_by_one(Forward(spec, network, run), tiles)
    # No compiler on this computer, an operation it does not know: many kinds, all of
    # which derive from these.
    except (RuntimeError, OSError, NotImplementedError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        _log.warning("%s runs uncompiled: %s", spec.title, reason[:200])
        return None
    found = agreement(wanted, ours, spec)
    if found < FAITHFUL:
        _log.warning(
            "%s runs uncompiled: cosine %.5f when compiled, %s is needed",
            spec.title,
            found,
            FAITHFUL,
        )
        return None
    return run


def by_openvino(
    spec: EncoderSpec, network: torch.nn.Module, device: torch.device, asked: str
) -> tuple[Run, Precision]:
    """Give a network to OpenVINO, for whole tiles on a CPU, and check it.

    Parameters
    ----------
    spec : EncoderSpec
    network : Module
        In single precision, for inference, on the CPU; also runs fields of other sizes.
    device : torch.device
    asked : {"auto", "fp32", "bf16"}
        Precision; ``"auto"`` is bf16 where the processor multiplies it and it is
        faithful.

    Raises
    ------
    PathfmError
        If OpenVINO is not installed, the device is no CPU, or the precision is not
        OpenVINO's or not faithful.
    """
    if device.type != "cpu":
        raise PathfmError(f"OpenVINO runs on a CPU, not on {device}: leave it out")
    if asked == "fp16":
        raise PathfmError("OpenVINO runs in fp32 or bf16 on a CPU, not in fp16")
    wanted, why = advised_precision(device) if asked == "auto" else (asked, "asked for")
    tiles = real_tiles(spec.tile_px)
    exact = one_by_one(Forward(spec, network), tiles)
    for name in dict.fromkeys((wanted, "fp32")):
        run = _openvino_run(spec, network, name)
        score = agreement(exact, one_by_one(Forward(spec, network, run), tiles), spec)
        said = f"{why}; OpenVINO, cosine {score:.5f} to PyTorch's fp32 on 4 real tiles"
        if score >= FAITHFUL:
            return run, Precision(name, said, wanted if name != wanted else "")
        if asked != "auto":
            break
    raise PathfmError(
        f"{spec.title} cannot run in OpenVINO's {name} ({said}; {FAITHFUL} is needed): "
        "leave out engine openvino"
    )


def _openvino_run(spec: EncoderSpec, network: torch.nn.Module, precision: str) -> Run:
    import torch

    try:
        import openvino
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
    except ImportError as error:
        raise PathfmError(
            "engine openvino needs OpenVINO: pip install 'napari-pathfm[openvino]'"
        ) from error
    side = spec.tile_px
    some = torch.zeros(2, 3, side, side)
    # What `openvino.convert_model` does, but for telling its makers that it was used.
    reader = FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings():
        # timm looks at shapes while it is traced; they are those of every tile here.
        warnings.simplefilter("ignore")
        traced = TorchScriptPythonDecoder(network, example_input=(some,))
        model = reader.convert(reader.load(traced))
    model.reshape([-1, 3, side, side])
    options = {
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    ready = openvino.Core().compile_model(model, "CPU", options)

    def run(images: Tensor) -> Tensor:
        if images.shape[2:] != (side, side):
            whole: Tensor = network(images)
            return whole
        tokens = ready(images.contiguous().numpy())[0]
        # OpenVINO writes the next result to the same place.
        return torch.from_numpy(tokens.copy())

    return run
