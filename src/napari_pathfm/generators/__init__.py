"""Latent diffusion models that make tissue, and the images that say so."""

from napari_pathfm.generators._catalogue import (
    GENERATORS,
    generator_spec,
    load_generator,
)
from napari_pathfm.generators._generator import Generator, OnStep
from napari_pathfm.generators._image import (
    Provenance,
    SyntheticImage,
    condition_hash,
)
from napari_pathfm.generators._spec import GeneratorSpec

__all__ = [
    "GENERATORS",
    "Generator",
    "GeneratorSpec",
    "OnStep",
    "Provenance",
    "SyntheticImage",
    "condition_hash",
    "generator_spec",
    "load_generator",
]
