"""HEST-bench's file layout: patches, expression, genes and splits of a task.

The layout is that of https://huggingface.co/datasets/MahmoodLab/hest-bench: for each
task a folder with ``var_50genes.json``, ``splits/train_K.csv`` and ``test_K.csv``
(columns ``sample_id``, ``patches_path``, ``expr_path``), and the files these name.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.evaluation._colour import colour_features
from napari_pathfm.evaluation._h5ad import texts
from napari_pathfm.evaluation._layouts import require_h5py
from napari_pathfm.evaluation._tiles import fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder

#: The list of genes where a caller does not say.
GENES = "var_50genes.json"

_PATCHES = 64  # encoded at a time
_IMAGES = ("img", "imgs", "images")
_BARCODES = ("barcodes", "barcode")


@dataclass(frozen=True)
class Sample:
    """A section: its patches, and what is expressed there.

    Attributes
    ----------
    name : str
        Its id.
    patches : Path
        HDF5 of ``img`` uint8 ``(N, h, w, 3)`` and ``barcodes`` ``(N, 1)``.
    expression : Path
        AnnData.
    """

    name: str
    patches: Path
    expression: Path


@dataclass(frozen=True)
class ExpressionTask:
    """A task of HEST's.

    Attributes
    ----------
    name : str
        Of its folder.
    genes : tuple of str
        What is predicted.
    samples : dict of str to Sample
        By name.
    folds : tuple of (tuple of str, tuple of str)
        Names of the samples to learn from and to be tested on.
    """

    name: str
    genes: tuple[str, ...]
    samples: dict[str, Sample]
    folds: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


def expression_tasks(folder: Path, genes: str = GENES) -> list[ExpressionTask]:
    """Read a task's folder, or all tasks of a folder of them.

    Parameters
    ----------
    folder : Path
        With a subfolder ``splits``, or with folders that have one.
    genes : str
        Name of the list of genes in a task's folder.

    Raises
    ------
    PathfmError
        If there is no task, a file is missing or damaged, or a sample is on both sides
        of a split.
    """
    if (folder / "splits").is_dir():
        return [_task(folder, genes)]
    found = sorted(path.parent for path in folder.glob("*/splits") if path.is_dir())
    if not found:
        raise PathfmError(
            f"{folder} is no task of HEST-bench: it has no folder splits, and none of "
            "its folders has"
        )
    return [_task(path, genes) for path in found]


def encode_patches(
    sample: Sample, encoder: Encoder, progress: Callable[[int], None] | None = None
) -> tuple[list[str], NDArray[np.float32], NDArray[np.float32]]:
    """Encode a section's patches.

    Parameters
    ----------
    sample : Sample
    encoder : Encoder
        Patches are resized to its tiles.
    progress : callable, optional
        Hears how many more are done.

    Returns
    -------
    barcodes : list of str
        Of the patches.
    features : ndarray
        float32 ``(N, D)``.
    colour : ndarray
        float32 ``(N, 9)``, of `colour_features`.

    Raises
    ------
    PathfmError
        If the file is damaged or of another layout.
    """
    barcodes: list[str] = []
    features, colour = [], []
    for names, images in _patches(sample.patches):
        barcodes += names
        colour.append(colour_features(images))
        tiles = np.stack([fit(image, encoder.spec.tile_px) for image in images])
        features.append(encoder.encode(tiles, patches=False).pooled)
        if progress is not None:
            progress(len(names))
    if not barcodes:
        raise PathfmError(f"{sample.patches} holds no patch")
    return barcodes, np.concatenate(features), np.concatenate(colour)


def count_patches(sample: Sample) -> int:
    """Count a section's patches, without reading them."""
    with _opened(sample.patches) as file:
        return len(_named(sample.patches, file, _IMAGES))


def _patches(path: Path) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
    with _opened(path) as file:
        images = _named(path, file, _IMAGES)
        names = _named(path, file, _BARCODES)
        whole = len(images.shape) == 4 and images.shape[3] == 3
        if not whole or images.dtype != np.uint8 or len(names) != len(images):
            raise PathfmError(
                f"{path} holds images {images.shape} of {images.dtype} and "
                f"{len(names)} barcodes, not uint8 (N, h, w, 3) and N"
            )
        for start in range(0, len(images), _PATCHES):
            try:
                part = images[start : start + _PATCHES]
                told = texts(names[start : start + _PATCHES])
            except OSError as error:
                raise PathfmError(f"{path} is damaged: {error}") from error
            yield told, part


def _opened(path: Path) -> Any:
    h5py = require_h5py()
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise PathfmError(f"{path} is no h5 file of patches: {error}") from error


def _named(path: Path, file: Any, names: Sequence[str]) -> Any:
    for name in names:
        if name in file:
            return file[name]
    raise PathfmError(f"{path} has no {names[0]!r}: it holds no patches of HEST-bench")


def _task(folder: Path, genes: str) -> ExpressionTask:
    samples: dict[str, Sample] = {}
    folds = []
    splits = folder / "splits"
    numbers = [path.stem.removeprefix("train_") for path in splits.glob("train_*.csv")]
    if not numbers:
        raise PathfmError(f"{splits} holds no train_0.csv: there is nothing to learn")
    for number in sorted(numbers, key=lambda text: (len(text), text)):
        sides = []
        for side in ("train", "test"):
            listed = _split(splits / f"{side}_{number}.csv", folder)
            samples |= {one.name: one for one in listed}
            sides.append(tuple(one.name for one in listed))
        both = set(sides[0]) & set(sides[1])
        if both:
            raise PathfmError(f"{splits}: {min(both)} is in train_{number} and in test")
        folds.append((sides[0], sides[1]))
    name = folder.resolve().name
    return ExpressionTask(name, _genes(folder / genes), samples, tuple(folds))


def _split(file: Path, folder: Path) -> list[Sample]:
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            rows = list(csv.DictReader(text))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PathfmError(f"{file} cannot be read as a table: {error}") from error
    if not rows:
        raise PathfmError(f"{file} lists no sample")
    samples = []
    for row in rows:
        named = [row.get(key) for key in ("sample_id", "patches_path", "expr_path")]
        if not all(named):
            raise PathfmError(
                f"{file} needs the columns sample_id, patches_path and expr_path, "
                "filled in"
            )
        name, patches, expression = (str(value) for value in named)
        sample = Sample(name, folder / patches, folder / expression)
        for path in (sample.patches, sample.expression):
            if not path.is_file():
                raise PathfmError(f"{path} does not exist, and {file.name} names it")
        samples.append(sample)
    return samples


def _genes(file: Path) -> tuple[str, ...]:
    try:
        genes = json.loads(file.read_text(encoding="utf-8"))["genes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PathfmError(f"{file} is no list of genes, or it is damaged") from error
    if not isinstance(genes, list) or not genes or len(set(genes)) < len(genes):
        raise PathfmError(f"{file} must list genes, each once")
    return tuple(str(gene) for gene in genes)
