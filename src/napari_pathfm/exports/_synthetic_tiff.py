"""Synthetic areas as pyramidal OME-TIFF that say what they are and what made them."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import OutputError, PathfmError
from napari_pathfm.exports._files import PathLike, whole_file
from napari_pathfm.exports._ome_tiff import SUFFIXES
from napari_pathfm.exports._png import STATEMENT

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_pathfm.generators import SyntheticImage

#: Namespace of the MapAnnotation that holds the provenance.
NAMESPACE = "napari-pathfm/synthetic/1"
_TILE = 256
# Coarser levels are added until the last one is no larger.
_COARSEST = 1024


def export_synthetic_ome_tiff(image: SyntheticImage, path: PathLike) -> None:
    """Write a synthetic area as a pyramidal, lossless OME-TIFF.

    Provenance stands as JSON in a MapAnnotation of the namespace `NAMESPACE` under the
    key ``provenance``; name and description say for every viewer that the image is
    synthetic. Levels are halved by averaging, in SubIFDs.

    Parameters
    ----------
    image : SyntheticImage
    path : path-like
        Ends in ``.ome.tif`` or ``.ome.tiff``. An existing file is replaced.

    Raises
    ------
    OutputError
        The image is empty, or the file cannot be written; nothing is left behind.
    """
    import tifffile

    pixels, told = image.pixels, image.provenance
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or not pixels.size:
        raise OutputError(
            f"Nothing to export: {path} would hold {pixels.dtype} {pixels.shape}, "
            "which is no picture."
        )
    levels = [pixels]
    while max(levels[-1].shape[:2]) > _COARSEST:
        levels.append(_halved(levels[-1]))
    x, y = (told.box or (0.0, 0.0))[:2]
    # Level-0 pixels of the slide have another size than the image's, as a rule.
    corner = told.mpp * pixels.shape[1] / told.box[2] if told.box else told.mpp
    metadata = {
        "axes": "YXS",
        "Creator": "napari-pathfm",
        # tifffile's own choice would tell the machine's network address.
        "UUID": str(uuid.uuid4()),
        "Name": f"Synthetic {told.action}, seed {told.seed}",
        "Description": STATEMENT,
        "PhysicalSizeX": told.mpp,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": told.mpp,
        "PhysicalSizeYUnit": "µm",
        "Plane": {
            "PositionX": [x * corner],
            "PositionXUnit": ["µm"],
            "PositionY": [y * corner],
            "PositionYUnit": ["µm"],
        },
        "MapAnnotation": {"Namespace": NAMESPACE, "provenance": told.to_json()},
    }
    options: dict[str, Any] = {
        "photometric": "rgb",
        "compression": "zlib",
        "predictor": True,
        "tile": (_TILE, _TILE),
        "resolutionunit": "CENTIMETER",
        "software": "napari-pathfm",
    }
    with (
        whole_file(path, *SUFFIXES) as neighbour,
        tifffile.TiffWriter(neighbour, ome=True, bigtiff=pixels.size > 2**31) as tif,
    ):
        for number, level in enumerate(levels):
            place: dict[str, Any] = (
                {"subfiletype": 1} if number else {"subifds": len(levels) - 1}
            )
            per_cm = 1e4 / (told.mpp * 2**number)
            tif.write(
                level,
                resolution=(per_cm, per_cm),
                metadata=None if number else metadata,
                **place,
                **options,
            )


def read_ome_provenance(path: PathLike) -> tuple[str, npt.NDArray[np.uint8]]:
    """Read the provenance's JSON and the pixels of the finest level.

    Raises
    ------
    PathfmError
        The file is missing, damaged, or carries no provenance of ours.
    """
    import tifffile

    name = Path(path)
    try:
        with tifffile.TiffFile(name) as tif:
            try:
                text = _provenance(tif.ome_metadata or "")
            except (KeyError, TypeError, AttributeError):
                # Other programs' OME, without annotations or with others.
                text = None
            pixels = tif.series[0].asarray() if text is not None else None
    except FileNotFoundError as error:
        raise PathfmError(f"There is no file {name}.") from error
    except (
        tifffile.TiffFileError,
        SyntaxError,
        OSError,
        ValueError,
        IndexError,
    ) as error:
        raise PathfmError(f"{name} is damaged: {error}.") from error
    if text is None or pixels is None:
        raise PathfmError(
            f"{name} carries no provenance: it was not made by this program, or "
            "another program has saved it since."
        )
    return text, pixels


def _provenance(xml: str) -> str | None:
    import tifffile

    if not xml:
        return None
    notes = tifffile.xml2dict(xml)["OME"]["StructuredAnnotations"]["MapAnnotation"]
    for note in notes if isinstance(notes, list) else [notes]:
        if note.get("Namespace") == NAMESPACE:
            entries = note["Value"]["M"]
            for entry in entries if isinstance(entries, list) else [entries]:
                if entry["K"] == "provenance":
                    return str(entry["value"])
    return None


def _halved(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Average 2 x 2 pixels, rounded; an odd last row or column is repeated."""
    height, width = pixels.shape[:2]
    even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    total = np.full(even[::2, ::2].shape, 2, np.uint16)
    for i in (0, 1):
        for j in (0, 1):
            total += even[i::2, j::2]
    return (total // 4).astype(np.uint8)
