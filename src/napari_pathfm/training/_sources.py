"""What a config's ``[data]`` names: slides and pictures, each with its site."""

from __future__ import annotations

import csv
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.errors import PathfmError
from napari_pathfm.training._places import (
    IMAGE_SUFFIXES,
    OpenSlides,
    Picture,
    Place,
    WholeSlide,
)

if TYPE_CHECKING:
    from napari_pathfm.training._data import Data


def find_places(data: Data, root: Path) -> list[Place]:
    """Find every file that a config names.

    Raises
    ------
    PathfmError
        If a pattern or folder holds none, or a file has no site.
    """
    return [*_slides(data, root), *_pictures(data, root)]


def _slides(data: Data, root: Path) -> list[Place]:
    sites = _sites(data, root)
    opened = OpenSlides(data.tile_px, data.mpp, data.slide_mpp)
    found: list[Place] = []
    for pattern in data.slides:
        paths = sorted(root.glob(pattern))
        if not paths:
            raise PathfmError(f"data.slides: {root / pattern} matches no file")
        for path in paths:
            own = path.stem if data.site_by == "source" else path.parent.name
            site = _site(sites, path.stem, data, own)
            found.append(WholeSlide(path, path.stem, path.stem, site, opened))
    return found


def _pictures(data: Data, root: Path) -> list[Place]:
    sites = _sites(data, root)
    found: list[Place] = []
    for name in data.tiles:
        folder = root / name
        paths = [
            p for p in sorted(folder.rglob("*")) if p.suffix.lower() in IMAGE_SUFFIXES
        ]
        if not paths:
            raise PathfmError(f"data.tiles: {folder} holds no PNG or JPEG file")
        for path in paths:
            inside = path.relative_to(folder).with_suffix("")
            flat = len(inside.parts) == 1
            slide = inside if flat else inside.parent
            site = _site(sites, inside.as_posix(), data, folder.name)
            group = f"{name}/{slide.as_posix()}"
            mpp = data.tiles_mpp or data.mpp
            found.append(Picture(path, inside.as_posix(), group, site, mpp))
    return found


def _sites(data: Data, root: Path) -> dict[str, str]:
    """Read the CSV of sites: pattern to site."""
    if data.sites is None:
        return {}
    path = root / data.sites
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return {row["name"]: row["site"] for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError) as error:
        raise PathfmError(f"data.sites: {path} cannot be read ({error})") from error
    except KeyError as error:
        raise PathfmError(f"data.sites: {path} has no column {error}") from error


def _site(sites: dict[str, str], name: str, data: Data, folder: str) -> str:
    if sites:
        for pattern, site in sites.items():
            if fnmatchcase(name, pattern):
                return site
        raise PathfmError(f"data.sites: {data.sites} has no site for {name}")
    if data.site_by != "tcga":
        return folder
    project, _, rest = Path(name).name.partition("-")
    if project != "TCGA" or not rest:
        raise PathfmError(
            f"data.site_by: {name} has no TCGA barcode; use 'folder', or data.sites"
        )
    return rest.partition("-")[0]
