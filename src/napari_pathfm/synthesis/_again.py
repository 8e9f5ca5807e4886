"""Repairs and areas made again from what their provenance says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.synthesis._extend import extend
from napari_pathfm.synthesis._repair import repair
from napari_pathfm.synthesis._twin import twin
from napari_pathfm.synthesis._virtual import VirtualSlide
from napari_pathfm.synthesis._virtual_layout import check_virtual

if TYPE_CHECKING:
    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import (
        Generator,
        OnStep,
        Provenance,
        SyntheticImage,
    )
    from napari_pathfm.slides import Slide

#: Actions whose images are no whole tiles.
PLACED = ("repair", "twin", "extend")


def made_again(
    provenance: Provenance,
    slide: Slide,
    generator: Generator,
    encoder: Encoder,
    *,
    on_step: OnStep | None = None,
) -> SyntheticImage:
    """Do once more what was done.

    Raises
    ------
    PathfmError
        If the provenance does not say enough, or the slide's pixel size is another.
    """
    settings: dict[str, Any] = {
        "seed": provenance.seed,
        "steps": provenance.steps,
        "guidance": provenance.guidance,
        "sampler": provenance.sampler,
        "on_step": on_step,
    }
    if provenance.box is None:
        raise PathfmError("the provenance does not say its 'box'")
    _same_scale(provenance, slide, generator)
    if provenance.action == "twin":
        overlap = _said(provenance, "overlap")
        return twin(
            slide, provenance.box, generator, encoder, overlap=overlap, **settings
        ).images[0]
    if provenance.action == "extend":
        return extend(
            slide,
            tuple(_said(provenance, "field")),
            generator,
            encoder,
            by=_said(provenance, "by_um"),
            sides=_said(provenance, "sides"),
            **settings,
        ).images[0]
    return repair(
        slide,
        _shape(_said(provenance, "mask")),
        generator,
        encoder,
        like=provenance.points,
        feather=_said(provenance, "feather"),
        **settings,
    ).images[0]


def virtual_again(
    provenance: Provenance,
    slide: Slide,
    generator: Generator,
    store: EmbeddingStore,
    *,
    on_step: OnStep | None = None,
) -> VirtualSlide:
    """Lay a virtual slide out once more; what is asked of it is made then.

    Raises
    ------
    StoreError
        If the store is not one of the slide's, by the generator's encoder.
    PathfmError
        If the provenance does not say enough, or the slide's pixel size is another.
    """
    if provenance.box is None:
        raise PathfmError("the provenance does not say its 'box'")
    _same_scale(provenance, slide, generator)
    virtual = VirtualSlide(
        slide,
        store,
        generator,
        seed=provenance.seed,
        steps=provenance.steps,
        guidance=provenance.guidance,
        sampler=provenance.sampler,
        on_step=on_step,
    )
    check_virtual(provenance, virtual.window_step)
    return virtual


def _said(provenance: Provenance, name: str) -> Any:
    if name not in provenance.details:
        raise PathfmError(f"the provenance does not say its {name!r}")
    return provenance.details[name]


def _shape(told: Any) -> Any:
    import shapely

    try:
        return shapely.geometry.shape(told)
    except (AttributeError, TypeError, ValueError, shapely.errors.ShapelyError) as bad:
        raise PathfmError(f"the provenance's mask is damaged ({bad})") from bad


def _same_scale(provenance: Provenance, slide: Slide, generator: Generator) -> None:
    """Refuse another pixel size than was used, by name."""
    spec = generator.spec
    here = slide.sampling(spec.mpp).downsample * slide.require_mpp()
    if not np.isclose(here, provenance.mpp, rtol=1e-6):
        raise PathfmError(
            f"a pixel is now {here:g} um and was {provenance.mpp:g}: give the slide's "
            "pixel size that was used, with --mpp"
        )
