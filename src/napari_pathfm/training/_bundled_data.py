"""What the bundled encoder learns from, and what they never see.

Only data whose licence lets it train weights that are given away: the two SVS slides
(CC0, and TCGA open access under Apache-2.0), the osteosarcoma fields (CC BY 3.0, TCIA),
the oral mucosa fields (CC0). Held out by case: osteosarcoma Case-48, and the oral test
split.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.training._fields import Source, load_images, load_slide

if TYPE_CHECKING:
    from pathlib import Path

HELD_OUT_CASE = "Case-48"
#: What nothing is learnt from, for the provenance.
HELD_OUT = (HELD_OUT_CASE, "oral test split")


def learning_sources(data: Path) -> tuple[Source, ...]:
    """Sources to learn from, below the folder that holds ``slides`` and ``tiles``."""
    slides, tiles = data / "slides", data / "tiles"
    return (
        load_slide(slides / "CMU-1-Small-Region.svs", weight=2.0),
        load_slide(slides / "TCGA-CR-7395-01A-01-TS1.svs", weight=2.0),
        load_images(
            tiles / "osteosarcoma",
            "osteosarcoma",
            weight=2.0,
            keep=lambda path: HELD_OUT_CASE not in path.name,
        ),
        load_images(
            tiles / "oral_oscc",
            "oral",
            weight=1.5,
            keep=lambda path: "train" in path.parts,
        ),
    )
