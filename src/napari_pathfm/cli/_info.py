"""``info``: what a slide is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.cli._options import add_icc, add_json, add_mpp, show

if TYPE_CHECKING:
    import argparse


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "info", help="vendor, levels, pixel size and tissue of a slide"
    )
    parser.add_argument("slide", type=Path, metavar="SLIDE")
    add_mpp(parser)
    add_icc(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print what the slide is."""
    from napari_pathfm.slides import open_slide, tissue_mask

    with open_slide(options.slide, mpp=options.mpp, icc=options.icc) as slide:
        width, height = slide.dimensions
        report: dict[str, Any] = {
            "path": str(slide.path),
            "vendor": slide.vendor,
            "backend": slide.backend,
            "reading": slide.reading,
            "fingerprint": slide.fingerprint,
            "dimensions": [width, height],
            "levels": [
                {"width": v.width, "height": v.height, "downsample": v.downsample}
                for v in slide.levels
            ],
            "mpp": slide.mpp,
            "mpp_source": slide.mpp_source,
            "objective": slide.objective,
            "icc_profile": slide.icc_profile is not None,
            "icc_applied": slide.icc_applied,
            "associated": list(slide.associated),
            "tissue_fraction": round(tissue_mask(slide).fraction, 4),
        }
    show(report, _lines(report), as_json=options.json)


def _lines(report: dict[str, Any]) -> list[str]:
    width, height = report["dimensions"]
    size = f"{width} x {height} px"
    if report["mpp"] is None:
        pixel = "not stated: give it with --mpp"
    else:
        pixel = f"{report['mpp']:g} um/px ({_SOURCES[report['mpp_source']]})"
        millimetres = (side * report["mpp"] / 1000 for side in (width, height))
        size += " ({:.2f} x {:.2f} mm)".format(*millimetres)
    levels = ", ".join(
        f"{v['width']} x {v['height']} (1/{v['downsample']:g})"
        for v in report["levels"]
    )
    return [
        f"slide        {report['path']}",
        f"vendor       {report['vendor']}",
        f"reading      {report['reading']}",
        f"size         {size}",
        f"pixel size   {pixel}",
        f"levels       {levels}",
        f"ICC profile  {_profile(report)}",
        f"associated   {', '.join(report['associated']) or 'none'}",
        f"tissue       {report['tissue_fraction']:.1%}",
        f"fingerprint  {report['fingerprint']}",
    ]


def _profile(report: dict[str, Any]) -> str:
    if not report["icc_profile"]:
        return "none"
    return "applied" if report["icc_applied"] else "there, not applied (--icc)"


_SOURCES = {
    "file": "from the file",
    "user": "given by you",
    "objective": "derived from the objective power",
}
