"""Pathology encoders: the catalogue, loading, and looking at tiles."""

from napari_pathfm.encoders._catalogue import ENCODERS, default_encoder
from napari_pathfm.encoders._device import choose_device
from napari_pathfm.encoders._encoder import Encoder, Features
from napari_pathfm.encoders._engine import ENGINES
from napari_pathfm.encoders._load import load_encoder
from napari_pathfm.encoders._precision import (
    PRECISIONS,
    Precision,
    advised_precision,
    known_precision,
)
from napari_pathfm.encoders._spec import POOLINGS, EncoderSpec
from napari_pathfm.encoders._spec_file import read_encoder_spec
from napari_pathfm.encoders._user import encoder_spec, known_encoders

__all__ = [
    "ENCODERS",
    "ENGINES",
    "POOLINGS",
    "PRECISIONS",
    "Encoder",
    "EncoderSpec",
    "Features",
    "Precision",
    "advised_precision",
    "choose_device",
    "default_encoder",
    "encoder_spec",
    "known_encoders",
    "known_precision",
    "load_encoder",
    "read_encoder_spec",
]
