"""Pathology encoders: the catalogue, loading, and looking at tiles."""

from napari_pathfm.encoders._catalogue import (
    ENCODERS,
    default_encoder,
    encoder_spec,
)
from napari_pathfm.encoders._device import choose_device
from napari_pathfm.encoders._encoder import Encoder, Features, load_encoder
from napari_pathfm.encoders._spec import POOLINGS, EncoderSpec

__all__ = [
    "ENCODERS",
    "POOLINGS",
    "Encoder",
    "EncoderSpec",
    "Features",
    "choose_device",
    "default_encoder",
    "encoder_spec",
    "load_encoder",
]
