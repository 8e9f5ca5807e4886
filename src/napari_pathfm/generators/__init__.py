"""Latent diffusion models that make tissue, and the images that say so."""

from napari_pathfm.generators._area import (
    AREA_SAMPLERS,
    Known,
    area_settings,
    generate_area,
)
from napari_pathfm.generators._catalogue import (
    GENERATORS,
    generator_spec,
    known_generators,
    load_generator,
)
from napari_pathfm.generators._flow import LatentFlow
from napari_pathfm.generators._generator import Generator, OnStep
from napari_pathfm.generators._image import (
    Provenance,
    SyntheticImage,
    condition_hash,
)
from napari_pathfm.generators._spec import GeneratorSpec

__all__ = [
    "AREA_SAMPLERS",
    "GENERATORS",
    "Generator",
    "GeneratorSpec",
    "Known",
    "LatentFlow",
    "OnStep",
    "Provenance",
    "SyntheticImage",
    "area_settings",
    "condition_hash",
    "generate_area",
    "generator_spec",
    "known_generators",
    "load_generator",
]
