"""In which precision an encoder runs: fast where the device has it, if faithful.

Half the bits are twice the speed and more on hardware that multiplies them, and slower
elsewhere. What they cost depends on the weights, which only the user has, so it is
looked at when they are loaded: on real tissue, against single precision.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.encoders._forward import Forward
from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from napari_pathfm.encoders._spec import EncoderSpec

#: What can be asked for.
PRECISIONS = ("auto", "fp32", "bf16", "fp16")

#: Cosine to single precision below which another one is refused.
FAITHFUL = 0.999

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Precision:
    """In which precision an encoder runs, and why.

    Attributes
    ----------
    name : {"fp32", "bf16", "fp16"}
        Of the weights and of the arithmetic.
    why : str
        For people.
    refused : str
        The faster one that was tried and was not faithful to these weights, or empty.
    """

    name: str = "fp32"
    why: str = "single precision, as loaded"
    refused: str = ""


def known_precision(name: str) -> str:
    """Give the name back, or refuse it."""
    if name not in PRECISIONS:
        raise PathfmError(f"no precision {name!r}: choose {', '.join(PRECISIONS)}")
    return name


def advised_precision(device: torch.device) -> tuple[str, str]:
    """Name the fastest precision that a device computes in hardware, and say why.

    Parameters
    ----------
    device : torch.device
        CUDA: bf16 from compute capability 8.0, fp16 from 7.0. MPS: fp16. A CPU: bf16
        with AVX512_BF16 or AMX, as far as PyTorch can tell; others emulate it and are
        slower than in fp32.
    """
    import torch

    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        if major >= 8:
            return "bf16", f"compute capability {major}.{minor}"
        if major >= 7:
            return "fp16", f"compute capability {major}.{minor} has no bf16"
        return "fp32", f"compute capability {major}.{minor} has no fast half precision"
    if device.type == "mps":
        return "fp16", "Apple's GPU"
    if device.type == "cpu":
        # A function of newer versions of PyTorch.
        has: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        for feature in ("amx_bf16", "avx512_bf16"):
            if has.get(feature):
                return "bf16", feature.upper()
        return "fp32", "no AVX512_BF16 or AMX in this processor"
    return "fp32", f"nothing faster is known of {device.type}"


def settle(
    spec: EncoderSpec,
    network: torch.nn.Module,
    device: torch.device,
    asked: str = "auto",
) -> tuple[torch.nn.Module, Precision]:
    """Put a network on its device, in a precision that is faithful to its weights.

    Parameters
    ----------
    spec : EncoderSpec
        What it is.
    network : Module
        With its weights, in single precision.
    device : torch.device
        Where it will run.
    asked : str
        One of `PRECISIONS`.

    Returns
    -------
    network : Module
        For inference.
    precision : Precision
        What came of it.

    Raises
    ------
    PathfmError
        If a precision that was asked for by name is not faithful.
    """
    import torch

    wanted, why = advised_precision(device) if asked == "auto" else (asked, "asked for")
    network = network.to(device).eval().requires_grad_(False)
    if wanted == "fp32":
        return network, Precision("fp32", why)
    tiles = real_tiles(spec.tile_px)
    exact = one_by_one(Forward(spec, network), tiles)
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}[wanted]
    faster = copy.deepcopy(network).to(half)
    try:
        score = agreement(exact, one_by_one(Forward(spec, faster), tiles), spec)
        found = f"cosine {score:.5f} to fp32 on {len(tiles)} real tiles"
    # What PyTorch raises where a device has no such arithmetic.
    except (RuntimeError, NotImplementedError, TypeError) as error:
        score, found = 0.0, (str(error) or type(error).__name__).splitlines()[0]
    if score >= FAITHFUL:
        return faster, Precision(wanted, f"{why}; {found}")
    if asked != "auto":
        raise PathfmError(
            f"{spec.title} cannot run in {wanted} ({found}; {FAITHFUL} is needed): "
            "ask for fp32 or auto"
        )
    _log.warning(
        "%s runs in fp32: %s was refused (%s, %s is needed)",
        spec.title,
        wanted,
        found,
        FAITHFUL,
    )
    return network, Precision("fp32", f"{wanted} was refused: {found}", wanted)


def agreement(
    exact: NDArray[np.float32], other: NDArray[np.float32], spec: EncoderSpec
) -> float:
    """Give the least cosine of a tile's CLS, or of its patch tokens on average.

    Parameters
    ----------
    exact, other : ndarray
        ``(N, prefix + h * w, D)``, the same tiles in two precisions.
    spec : EncoderSpec
        For the number of prefix tokens.
    """
    a, b = exact.astype(np.float64), other.astype(np.float64)
    norms = np.linalg.norm(a, axis=2) * np.linalg.norm(b, axis=2)
    cosines = (a * b).sum(2) / np.maximum(norms, 1e-30)
    patches = cosines[:, spec.prefix_tokens :].mean(1)
    least = float(np.minimum(cosines[:, 0], patches).min())
    # Overflow in fp16 gives no number, which is not faithful either.
    return least if np.isfinite(least) else 0.0


def real_tiles(px: int) -> NDArray[np.uint8]:
    """Four tiles of skin at 0.5 µm per pixel, uint8 ``(4, px, px, 3)``.

    From CMU-1-Small-Region, which Carnegie Mellon University gave to the public (CC0).
    Where more than 224 px are asked for, the tissue is mirrored at its edges.
    """
    from importlib import resources

    from PIL import Image

    file = resources.files("napari_pathfm.encoders") / "tissue.jpg"
    with file.open("rb") as stream, Image.open(stream) as image:
        field = np.asarray(image.convert("RGB"))
    side = field.shape[0] // 2
    more = max(0, px - side)
    tiles = [
        np.pad(
            field[y : y + side, x : x + side],
            ((0, more), (0, more), (0, 0)),
            mode="symmetric",
        )[:px, :px]
        for y in (0, side)
        for x in (0, side)
    ]
    return np.stack(tiles)


def one_by_one(forward: Forward, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Run tiles singly: a device that is nearly full holds two networks already."""
    return np.concatenate([forward(tile[None]) for tile in tiles])
