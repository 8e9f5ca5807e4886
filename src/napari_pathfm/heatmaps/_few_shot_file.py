"""Few-shot classifiers as files: JSON that says of itself what it may be used on."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import LabelError, OutputError
from napari_pathfm.heatmaps._classes import TissueClass
from napari_pathfm.heatmaps._few_shot import FewShot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FORMAT = "napari-pathfm few-shot classifier"
VERSION = 1
# A classifier of 100 classes on 2,560 numbers is 5 MB.
_MOST_BYTES = 64 << 20


def save_few_shot(
    classifier: FewShot,
    path: str | Path,
    *,
    validation: Mapping[str, Any] | None = None,
) -> None:
    """Write a classifier.

    Parameters
    ----------
    classifier : FewShot
    path : path
        An existing file is replaced, whole.
    validation : mapping, optional
        `Validation.to_json`: how good it was on its own labels.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    path = Path(path)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "classes": [
            {"name": one.name, "color": list(one.color)} for one in classifier.classes
        ],
        "temperature": classifier.temperature,
        "bias": [float(value) for value in classifier.bias],
        "weights": [[float(value) for value in row] for row in classifier.weights],
        "validation": dict(validation) if validation else None,
        "provenance": classifier.provenance,
    }
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        part.write_text(json.dumps(content), encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}): "
            "choose another place"
        ) from error


def load_few_shot(path: str | Path) -> FewShot:
    """Read a classifier that `save_few_shot` wrote.

    Raises
    ------
    LabelError
        There is no such file, it is something else or damaged, or it is of a newer
        version.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise LabelError(f"{path} is too large for a few-shot classifier")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LabelError(
            f"{path} cannot be read ({error.strerror or error})"
        ) from error
    except (ValueError, RecursionError) as error:
        raise LabelError(f"{path} is no few-shot classifier: it is not JSON") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise LabelError(f"{path} is no few-shot classifier of napari-pathfm")
    version = content.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise LabelError(
            f"{path} was written by a newer napari-pathfm (version {version}): upgrade"
        )
    try:
        return _classifier(content)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise LabelError(f"{path} is damaged: {error}") from error


def _classifier(content: dict[str, Any]) -> FewShot:
    classes = tuple(
        TissueClass(str(one["name"]), _color(one["color"]))
        for one in content["classes"]
    )
    weights, bias = _numbers(content["weights"], 2), _numbers(content["bias"], 1)
    if (
        len(classes) < 2
        or len(weights) != len(classes)
        or bias.shape != (len(classes),)
    ):
        raise ValueError("classes, weights and bias do not fit each other")
    temperature = float(content["temperature"])
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"a temperature of {temperature}")
    return FewShot(classes, weights, bias, temperature, dict(content["provenance"]))


def _numbers(rows: Any, dimensions: int) -> NDArray[np.float32]:
    numbers = np.asarray(rows, np.float32)
    if numbers.ndim != dimensions or not np.isfinite(numbers).all():
        raise ValueError("weights that are no finite numbers")
    return numbers


def _color(value: Any) -> tuple[int, int, int]:
    red, green, blue = (int(channel) for channel in value)
    if not all(0 <= channel <= 255 for channel in (red, green, blue)):
        raise ValueError(f"a colour of {value}")
    return red, green, blue
