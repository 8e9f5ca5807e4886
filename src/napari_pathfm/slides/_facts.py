"""What is known of a slide: its levels, its pixel size, and how pixels are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import MissingMppError
from napari_pathfm.slides._colour import to_srgb
from napari_pathfm.slides._levels import BackendName, Level, Sampling, choose_level
from napari_pathfm.slides._mpp import (
    MppSource,
    check_mpp,
    missing_mpp_message,
    resolve_mpp,
)
from napari_pathfm.slides._regions import factors_of
from napari_pathfm.slides._synthetic import synthetic_provenance

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.slides._levels import Backend


class SlideFacts:
    """A slide without its pixels; `Slide` says what each attribute is."""

    def __init__(
        self,
        path: Path,
        backend: Backend,
        fingerprint: str,
        mpp: float | None,
        *,
        scaled_decode: bool = True,
        icc: bool = False,
    ) -> None:
        self.reader = backend
        self.scaled_decode = scaled_decode
        self.icc_applied = icc and backend.icc_profile is not None
        if self.icc_applied and backend.icc_profile is not None:
            backend.use_profile(to_srgb(backend.icc_profile, name=path.name))
        self._given_mpp = mpp
        self.path = path
        self.name = path.stem
        self.vendor = backend.vendor
        self.backend: BackendName = backend.name
        self.reading = backend.reading
        self.fingerprint = fingerprint
        self.levels: tuple[Level, ...] = backend.levels
        self.dimensions = (self.levels[0].width, self.levels[0].height)
        self.objective = backend.objective
        self.associated = backend.associated
        self.mpp: float | None
        self.mpp_source: MppSource | None
        self.mpp, self.mpp_source = resolve_mpp(backend.mpp, mpp, backend.objective)

    @property
    def synthetic(self) -> dict[str, Any] | None:
        """What made it, where the file says that it is synthetic tissue; else None."""
        return synthetic_provenance(self.path)

    def __repr__(self) -> str:
        width, height = self.dimensions
        return f"<Slide {self.path.name} {width}x{height} {self.vendor} mpp={self.mpp}>"

    def require_mpp(self) -> float:
        """Give the pixel size in micrometres.

        Raises
        ------
        MissingMppError
            Where the file does not state it and the user has not given it.
        """
        if self.mpp is None:
            raise MissingMppError(missing_mpp_message(self.path.name, self.reader.mpp))
        return self.mpp

    def sampling(self, mpp: float) -> Sampling:
        """Choose the level from which pixels of `mpp` micrometres are read.

        It is the coarsest level that is at least as fine, within 1 %. A level that
        matches within 1 % is read as it is. Finer than level 0 is interpolated from
        level 0.

        Parameters
        ----------
        mpp : float
            Micrometres per pixel, 0.01 to 100.

        Raises
        ------
        MissingMppError
            Where the slide's own pixel size is not known.
        SlideError
            Where `mpp` is no such number.
        """
        downsample = check_mpp(mpp) / self.require_mpp()
        return choose_level(self.levels, downsample, factors_of(self.reader))

    @property
    def icc_profile(self) -> bytes | None:
        """The file's ICC profile, applied or not; None where it has none."""
        return self.reader.icc_profile

    def resampling(self, mpp: float) -> str:
        """Say how pixels of `mpp` micrometres are made, for whoever compares features.

        Returns
        -------
        str
            Such as ``"level 1"``, ``"level 0, decoded at 1/2"``, ``"level 0,
            bicubic"``.
        """
        sampling = self.sampling(mpp)
        words = f"level {sampling.level}"
        if sampling.factor > 1:
            words += f", decoded at 1/{sampling.factor}"
        own = self.levels[sampling.level].downsample * sampling.factor
        return words if sampling.downsample == own else f"{words}, bicubic"
