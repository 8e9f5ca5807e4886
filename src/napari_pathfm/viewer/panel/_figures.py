"""How far to trust what was generated, in words and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_pathfm.synthesis import PlacedImages

# What the condition was, by what a step of the slider is.
_MEASURED_AGAINST = {
    "variant": "real tile",
    "frame": "way between",
    "step": "way",
    "repair": "surroundings",
    "twin": "real tiles",
    "extension": "field",
}


def figures_text(result: PlacedImages) -> str:
    """Give the cosines, among real neighbours', and the classifier's probabilities."""
    from napari_pathfm.synthesis import Steering

    lines = []
    if isinstance(result, Steering) and result.probabilities is not None:
        lines.append(
            f"Probability of {result.towards}: real tile {result.real_probability:.2f},"
            f" generated {_row(result.probabilities)}"
        )
    to = _MEASURED_AGAINST[result.axis]
    if result.axis == "variant":
        of = len(result.images[0].provenance.points)
        to = f"mean of {of} real tiles" if of > 1 else to
    lines.append(f"Cosine to the {to}: {_row(result.fidelity)}")
    real = result.images[0].provenance.details.get("neighbour_cosines")
    if real:
        lines.append(
            f"Its {len(real)} real neighbours have {real[0]:.2f} to {real[-1]:.2f}"
        )
    return "\n".join(lines)


def _row(values: list[float]) -> str:
    return "  ".join(f"{value:.2f}" for value in values)
