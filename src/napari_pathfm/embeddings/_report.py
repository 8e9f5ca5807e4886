"""What became of each slide of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_pathfm.embeddings._store import FailedTile


@dataclass(frozen=True)
class SlideReport:
    """One slide of a run.

    Attributes
    ----------
    slide : Path
        Its file.
    store : Path or None
        Its store; None where there is none.
    tiles, embedded : int
        Tiles in its grid, and how many of them this run has embedded.
    seconds : float
        From opening the slide to the end of its store.
    failed : tuple of FailedTile
        Tiles that cannot be read.
    error : str or None
        Why the slide could not be embedded, in one line.
    encoder, weights_revision : str or None
        By which encoder.
    """

    slide: Path
    store: Path | None = None
    tiles: int = 0
    embedded: int = 0
    seconds: float = 0.0
    failed: tuple[FailedTile, ...] = ()
    error: str | None = None
    encoder: str | None = None
    weights_revision: str | None = None

    @property
    def rate(self) -> float:
        """Tiles a second."""
        return self.embedded / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """Give it JSON-serialisable."""
        return {
            "slide": str(self.slide),
            "store": None if self.store is None else str(self.store),
            "tiles": self.tiles,
            "embedded": self.embedded,
            "seconds": round(self.seconds, 2),
            "tiles_per_second": round(self.rate, 1),
            "failed": [asdict(tile) for tile in self.failed],
            "error": self.error,
            "encoder": self.encoder,
            "weights_revision": self.weights_revision,
        }

    def line(self) -> str:
        """Say it in one line."""
        if self.error is not None:
            return f"{self.slide}: failed: {self.error}"
        words = f"{self.store}: {self.tiles} tiles, {self.embedded} of them now"
        if self.embedded:
            words += f", {self.seconds:.1f} s, {self.rate:.1f} tiles/s"
        if self.failed:
            words += f", {len(self.failed)} cannot be read ({self.failed[0].reason})"
        return words


def summary(reports: Sequence[SlideReport]) -> str:
    """Say in one line what became of all slides."""
    bad = sum(report.error is not None for report in reports)
    seconds = sum(report.seconds for report in reports)
    embedded = sum(report.embedded for report in reports)
    unread = sum(len(report.failed) for report in reports)
    words = f"{len(reports)} slides: {len(reports) - bad} done, {bad} failed; "
    words += f"{embedded} tiles embedded in {seconds:.1f} s"
    if embedded and seconds:
        words += f", {embedded / seconds:.1f} tiles/s"
    return words + (f"; {unread} tiles cannot be read" if unread else "")
