"""A synthetic image, and what made it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Provenance:
    """Everything needed to make a synthetic image again, and to know that it is one.

    Attributes
    ----------
    generator, generator_revision : str
        Which network, with which weights.
    sampler, steps, guidance, guidance_interval
        How it was sampled; the interval is in time, where 1 is noise.
    preset : str
        ``"paper"``, ``"fast"``, or ``"own"`` where a person chose otherwise.
    engine : str
        What ran the network, where there is a choice.
    precision : str
        Of the network's arithmetic: ``"fp32"``, ``"bf16"`` or ``"fp16"``.
    seed : int
        Of this one image.
    mpp : float
        Micrometres per pixel of the image.
    encoder, encoder_revision : str or None
        What made the condition.
    condition_sha256 : str or None
        Of the float32 condition vector, or of all tiles' one after the other; None for
        an unconditional image.
    slide, slide_fingerprint : str or None
        Where the condition was read.
    points : list of [x, y]
        Level-0 pixels whose tiles' mean embedding is the condition; of a walk, its
        start and its end.
    box : [x, y, width, height] or None
        Level-0 rectangle that the image stands for.
    action : str
        What was asked for: ``"vary"``, ``"walk"``, ``"steer"``, ``"repair"``,
        ``"twin"``.
    details : dict
        What only that action has: the path of a walk and the fraction of the way, where
        steering ends (base64 of float32), the cosines of real neighbours, the mask of a
        repair as GeoJSON geometry, the overlap of a twin's tiles.
    fidelity : dict
        Figures measured on the image, such as the cosine to its condition.
    software : str
        This program and its version.
    synthetic : bool
        Always True.
    """

    generator: str
    generator_revision: str
    sampler: str
    steps: int
    guidance: float
    guidance_interval: tuple[float, float]
    seed: int
    mpp: float
    encoder: str | None = None
    encoder_revision: str | None = None
    condition_sha256: str | None = None
    slide: str | None = None
    slide_fingerprint: str | None = None
    points: tuple[tuple[float, float], ...] = ()
    box: tuple[float, float, float, float] | None = None
    action: str = "vary"
    details: dict[str, Any] = field(default_factory=dict)
    fidelity: dict[str, float] = field(default_factory=dict)
    preset: str = ""
    engine: str = ""
    precision: str = "fp32"
    notice: str = ""
    software: str = ""
    synthetic: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON types."""
        plain: dict[str, Any] = json.loads(self.to_json())
        return plain

    def to_json(self) -> str:
        """Give one line of JSON, keys sorted."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        """Read what `to_json` wrote; keys of later versions are passed over.

        Raises
        ------
        PathfmError
            If it is no provenance of a synthetic image.
        """
        try:
            found = json.loads(text)
            known = {f.name for f in fields(cls)}
            values = {k: v for k, v in found.items() if k in known}
            if values.get("synthetic") is not True:
                raise ValueError("it does not say synthetic")
            values["guidance_interval"] = tuple(values["guidance_interval"])
            values["points"] = tuple(tuple(p) for p in values.get("points", ()))
            if values.get("box") is not None:
                values["box"] = tuple(values["box"])
            return cls(**values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PathfmError(
                f"this is no provenance of a synthetic image ({error})"
            ) from error


@dataclass(frozen=True, eq=False)
class SyntheticImage:
    """Pixels that no microscope saw.

    Attributes
    ----------
    pixels : ndarray
        uint8 ``(h, w, 3)``.
    provenance : Provenance
        What made them.
    """

    pixels: NDArray[np.uint8]
    provenance: Provenance

    def with_provenance(self, **changes: Any) -> SyntheticImage:
        """Give the same pixels with more of their provenance known."""
        return replace(self, provenance=replace(self.provenance, **changes))


def condition_hash(condition: NDArray[np.float32] | None) -> str | None:
    """SHA-256 of one condition vector, as it enters the generator."""
    if condition is None:
        return None
    return hashlib.sha256(condition.astype("<f4").tobytes()).hexdigest()
