"""A folder of DICOM files, which together are one slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.errors import SlideError

if TYPE_CHECKING:
    from pathlib import Path

# A slide has a file for each level and picture, or for each part of a level.
_MOST = 2000


def dicom_in(folder: Path) -> Path:
    """Choose the file of a folder by which OpenSlide opens the slide that lies there.

    Raises
    ------
    SlideError
        The folder holds no DICOM slide, or several.
    """
    import openslide

    series: dict[str, Path] = {}
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in files[:_MOST]:
        try:
            if openslide.OpenSlide.detect_format(path) != "dicom":
                continue
            with openslide.OpenSlide(path) as handle:
                key = handle.properties.get("dicom.SeriesInstanceUID", str(path))
        except openslide.OpenSlideError:
            continue
        series.setdefault(key, path)
    name = folder.name or str(folder)
    if not series:
        raise SlideError(
            f"{name} is a folder without a DICOM or OME-Zarr slide: give a file in it"
        )
    if len(series) > 1:
        shown = ", ".join(path.name for path in list(series.values())[:3])
        raise SlideError(
            f"{name} is a folder with {len(series)} DICOM slides: give a file of one "
            f"of them ({shown})"
        )
    return next(iter(series.values()))
