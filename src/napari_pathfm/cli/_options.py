"""Options that several verbs share, and the types of their values."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_pathfm.weights import ModelSpec


def point(text: str) -> tuple[float, float]:
    """Read ``X,Y`` in level-0 pixels."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no point: give X,Y in level-0 pixels, such as 1250,1900"
        ) from None
    if not (math.isfinite(x) and math.isfinite(y)):
        raise argparse.ArgumentTypeError(f"{text!r} is no point: it is not finite")
    return x, y


def place(text: str) -> Path | tuple[float, float]:
    """Read ``X,Y`` in level-0 pixels, or the name of a GeoJSON file with regions."""
    if text.lower().endswith((".geojson", ".json", ".geojson.gz")):
        return Path(text)
    return point(text)


def box(text: str) -> tuple[float, float, float, float]:
    """Read ``X,Y,WIDTH,HEIGHT`` in level-0 pixels."""
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        x = y = width = height = math.nan
    if not all(map(math.isfinite, (x, y, width, height))) or min(width, height) <= 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no box: give X,Y,WIDTH,HEIGHT in level-0 pixels, such as "
            "1200,1900,60,60"
        )
    return x, y, width, height


def count(text: str) -> int:
    """Read a whole number of at least one."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return value


def add_mpp(parser: argparse.ArgumentParser) -> None:
    """Add ``--mpp``."""
    parser.add_argument(
        "--mpp",
        type=float,
        metavar="M",
        help="micrometres per level-0 pixel; goes before what the file says",
    )


def add_exact(parser: argparse.ArgumentParser) -> None:
    """Add ``--exact``."""
    parser.add_argument(
        "--exact",
        action="store_true",
        help="decode tiles in full and resize them, rather than have JPEG tiles shrink "
        "while they are decoded",
    )


def add_icc(parser: argparse.ArgumentParser) -> None:
    """Add ``--icc``."""
    parser.add_argument(
        "--icc",
        action="store_true",
        help="send colours through the slide's ICC profile to sRGB",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument(
        "--device", default="auto", metavar="D", help="auto, cpu, cuda, cuda:1 or mps"
    )


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Add ``--precision``."""
    parser.add_argument(
        "--precision",
        choices=["auto", "fp32", "bf16", "fp16"],
        default="auto",
        help="auto is the fastest that the device has, if it is faithful to fp32 with "
        "these weights; else fp32",
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add ``--engine``."""
    parser.add_argument(
        "--engine",
        choices=["torch", "compile", "openvino"],
        default="torch",
        help="what computes the encoder: PyTorch; PyTorch's compiler, half a minute to "
        "begin with; or OpenVINO, for CPUs, which napari-pathfm[openvino] brings",
    )


def add_weights(parser: argparse.ArgumentParser, of: str) -> None:
    """Add ``--weights``."""
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="DIR",
        help=f"folder of the {of}'s downloaded repository, instead of the hub; by "
        "default looked for in the folder that NAPARI_PATHFM_WEIGHTS names",
    )


def weights_of(spec: ModelSpec, given: Path | None) -> Path | None:
    """Where a model's weights are: as given, or among those downloaded by hand."""
    from napari_pathfm.weights import downloaded

    return given or downloaded(spec)


def preset_of(options: argparse.Namespace) -> str | None:
    """Which preset was asked for, by ``--preset`` or by ``--fast``."""
    return "fast" if options.fast else options.preset


def show(report: Any, lines: list[str], *, as_json: bool) -> None:
    """Print a report, as JSON or as lines for people."""
    print(json.dumps(report, indent=2) if as_json else "\n".join(lines))
