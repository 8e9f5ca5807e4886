"""Pixel sizes: which figures are believed, and what is said of the others."""

from __future__ import annotations

import math
from typing import Literal, SupportsFloat

from napari_pathfm.errors import SlideError

MppSource = Literal["file", "user", "objective"]

# What a person may give, in micrometres per pixel.
LIMITS = (0.01, 100.0)

# What print-resolution tags of a TIFF may say before they are taken for a pixel size:
# 72 dpi (353 um) and 300 dpi (85 um) are a printer's business.
PLAUSIBLE = (0.05, 20.0)

# Pixels more oblong than this have no one size.
MAX_ANISOTROPY = 0.02


def positive(value: SupportsFloat | str | None) -> float | None:
    """Read a positive finite number, or None."""
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def plausible(mpp: float) -> bool:
    """Tell whether a resolution tag can be a microscope's."""
    return PLAUSIBLE[0] <= mpp <= PLAUSIBLE[1]


def check_mpp(mpp: float) -> float:
    """Accept a pixel size that a person gave, in micrometres.

    Raises
    ------
    SlideError
        Where it is no number from 0.01 to 100.
    """
    try:
        number = float(mpp)
    except (TypeError, ValueError):
        number = math.nan
    if not LIMITS[0] <= number <= LIMITS[1]:
        raise SlideError(
            f"mpp must be a number of micrometres per pixel from {LIMITS[0]:g} to "
            f"{LIMITS[1]:g}, not {mpp!r}"
        )
    return number


def resolve_mpp(
    stated: tuple[float, float] | None,
    given: float | None,
    objective: float | None,
) -> tuple[float | None, MppSource | None]:
    """Decide a slide's pixel size: given by the user, else stated, else derived.

    Nearly square pixels have the geometric mean of both sides. Oblong ones (over 2 %)
    have no size until the user gives one, and neither has a file whose figure is
    absurd.
    """
    if given is not None:
        return check_mpp(given), "user"
    if stated is not None:
        across, down = stated
        mean = math.sqrt(across * down)
        oblong = abs(across / down - 1) > MAX_ANISOTROPY
        if LIMITS[0] <= mean <= LIMITS[1] and not oblong:
            return mean, "file"
        return None, None
    if objective is not None and LIMITS[0] <= 10 / objective <= LIMITS[1]:
        return 10 / objective, "objective"
    return None, None


def missing_mpp_message(name: str, stated: tuple[float, float] | None) -> str:
    """Say why there is no pixel size and what to do."""
    if stated is None:
        fault = "does not state its pixel size (mpp)"
    else:
        across, down = stated
        fault = f"states a pixel size of no use ({across:g} x {down:g} um)"
    return f"{name} {fault}: give it, for example --mpp 0.5"
