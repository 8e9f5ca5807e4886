"""QuPath's contract, written down a second time: nothing here imports the exports."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_pathfm.generators import Provenance, SyntheticImage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OBJECT_TYPES = {"annotation", "detection", "cell", "tile", "tmaCore", "root"}
PROPERTIES = {
    "objectType",
    "name",
    "color",
    "classification",
    "isLocked",
    "measurements",
    "metadata",
    "childObjects",
}


def _rgb(color: object) -> None:
    assert isinstance(color, list)
    assert len(color) == 3
    assert all(type(channel) is int and 0 <= channel <= 255 for channel in color)


def _position(position: object) -> None:
    assert isinstance(position, list)
    assert len(position) == 2
    for number in position:
        assert type(number) in (int, float)
        assert math.isfinite(number)


def _area(ring: list[list[float]]) -> float:
    return 0.5 * sum(
        x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in itertools.pairwise(ring)
    )


def _polygon(rings: object) -> None:
    assert isinstance(rings, list)
    assert rings
    for index, ring in enumerate(rings):
        assert len(ring) >= 4
        for position in ring:
            _position(position)
        assert ring[0] == ring[-1], "ring not closed"
        area = _area(ring)
        assert area > 0 if index == 0 else area < 0, "ring turned the wrong way"


def _geometry(geometry: object) -> None:
    assert isinstance(geometry, dict)
    assert set(geometry) - {"isEllipse"} == {"type", "coordinates"}
    assert geometry.get("isEllipse", True) is True
    coordinates = geometry["coordinates"]
    match geometry["type"]:
        case "Point":
            _position(coordinates)
        case "MultiPoint" | "LineString":
            assert len(coordinates) >= 2
            for position in coordinates:
                _position(position)
        case "Polygon":
            _polygon(coordinates)
        case "MultiPolygon":
            assert len(coordinates) >= 2, "a MultiPolygon of one"
            for polygon in coordinates:
                _polygon(polygon)
        case other:
            pytest.fail(f"geometry {other}")


def _feature(feature: object) -> None:
    assert isinstance(feature, dict)
    assert set(feature) == {"type", "id", "geometry", "properties"}
    assert feature["type"] == "Feature"
    assert str(uuid.UUID(feature["id"])) == feature["id"]
    _geometry(feature["geometry"])
    properties = feature["properties"]
    assert set(properties) <= PROPERTIES
    assert properties["objectType"] in OBJECT_TYPES
    if "name" in properties:
        assert isinstance(properties["name"], str)
        assert properties["name"]
    if "color" in properties:
        _rgb(properties["color"])
    if "classification" in properties:
        classification = properties["classification"]
        # QuPath 0.4 refuses an object without a colour.
        assert set(classification) in ({"name", "color"}, {"names", "color"})
        _rgb(classification["color"])
        names = classification.get("names", [classification.get("name")])
        assert ("names" in classification) == (len(names) > 1)
        for name in names:
            assert isinstance(name, str)
            assert name.strip() == name != ""
            assert not set(name) & set(":\n\r")
    assert properties.get("isLocked", True) is True
    for name, value in properties.get("measurements", {}).items():
        assert isinstance(name, str)
        assert type(value) in (int, float) or value in ("NaN", "Infinity", "-Infinity")
    for key, value in properties.get("metadata", {}).items():
        assert isinstance(key, str)
        assert isinstance(value, str)


def _no_constant(word: str) -> float:
    pytest.fail(f"{word} is no JSON")


@pytest.fixture
def check() -> Callable[[Path], list[dict[str, Any]]]:
    """Hold a file against the contract; give its features."""

    def run(path: Path) -> list[dict[str, Any]]:
        raw = path.read_bytes()
        if path.name.endswith(".gz"):
            raw = gzip.decompress(raw)
        document = json.loads(raw.decode("ascii"), parse_constant=_no_constant)
        assert document["type"] == "FeatureCollection"
        features: list[dict[str, Any]] = document["features"]
        assert features
        for feature in features:
            _feature(feature)
        ids = [feature["id"] for feature in features]
        assert len(set(ids)) == len(ids), "ids repeat"
        return features

    return run


@pytest.fixture
def leaves_nothing(tmp_path: Path) -> Callable[[], None]:
    """Assert that the folder is as it was at the test's start."""
    before = sorted(tmp_path.rglob("*"))

    def run() -> None:
        assert sorted(tmp_path.rglob("*")) == before

    return run


@pytest.fixture
def synthetic() -> Callable[..., SyntheticImage]:
    """Make a synthetic image of noise with some of its provenance."""

    def make(seed: int = 0, side: int = 32, **known: Any) -> SyntheticImage:
        pixels = np.random.default_rng(seed).integers(
            0, 256, (side, side, 3), dtype=np.uint8
        )
        settings: dict[str, Any] = {
            "generator": "bundled",
            "generator_revision": "bundled:0123456789ab",
            "sampler": "euler",
            "steps": 20,
            "guidance": 2.5,
            "guidance_interval": (0.0, 0.75),
            "seed": seed,
            "mpp": 0.5,
            "points": ((10.5, 20.0),),
            "fidelity": {"cosine_to_condition": 0.9},
        }
        return SyntheticImage(pixels, Provenance(**settings | known))

    return make
