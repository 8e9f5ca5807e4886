"""A script as values: calls of this package's functions, and what they are given.

Only what stands in the tables below can be said, so that a script from a session file
holds no more than one that was recorded here. Equal steps are the same variable.
"""

from __future__ import annotations

import keyword
import math
from dataclasses import dataclass
from typing import Any

#: Functions that a script may call, by the room that has them.
FUNCTIONS = frozenset(
    {
        "embeddings.embed_slide",
        "embeddings.open_store",
        "encoders.load_encoder",
        "evaluation.load_head",
        "exports.export_layer_png",
        "exports.export_layers_geojson",
        "exports.layer_pixels",
        "exports.write_each",
        "generators.load_generator",
        "heatmaps.ClassMaps",
        "heatmaps.UnitVectors.of",
        "heatmaps.attention",
        "heatmaps.fit_few_shot",
        "heatmaps.label_places",
        "heatmaps.load_few_shot",
        "heatmaps.save_few_shot",
        "heatmaps.similarity",
        "heatmaps.validate",
        "slides.open_slide",
        "slides.tile_grid",
        "slides.tissue_mask",
        "synthesis.VirtualSlide",
        "synthesis.difference",
        "synthesis.extend",
        "synthesis.repair",
        "synthesis.steer",
        "synthesis.trust",
        "synthesis.twin",
        "synthesis.vary",
        "synthesis.walk",
    }
)
#: Methods and attributes of what they return.
METHODS = frozenset({"likeliest", "probability", "to_json", "to_layer"})
ATTRIBUTES = frozenset(
    {"chances", "grid", "images", "pixels", "source", "spec", "temperature", "values"}
)

#: Variables, and what is said above each. One without a name is a statement.
NOTES = {
    "slide": "The slide.",
    "tissue": "",
    "grid": "Its tissue, cut into tiles.",
    "encoder": "The encoder.",
    "store": "Tiles are embedded; a store that is finished is used as it is.",
    "vectors": "",
    "likeness": "Similarity to what was clicked and drawn.",
    "labelled": "Labels: each tile's centre, and its class.",
    "validation": "",
    "classifier": "The classifier of the labels.",
    "class_maps": "Classes over the slide.",
    "head": "A slide-level head.",
    "attended": "Where the head looks, and what it says of each tile.",
    "generator": "The generator.",
    "variants": "Variants of a place.",
    "walked": "From one place to another.",
    "steered": "A tile moved towards a class.",
    "repaired": "A drawn region made anew from its surroundings.",
    "twinned": "A region made once more.",
    "extended": "A field carried on beyond its border.",
    "virtual": "The virtual slide: virtual.read(x, y, width, height) makes its pixels.",
    "trusted": "How far to trust a synthetic tile.",
    "apart": "Synthetic and real: how much the colours differ.",
    "written": "Written from the window.",
    "by_hand": "Written from the window, of what was drawn or opened there, which no",
}
#: Of these nothing is kept under a name.
STATEMENTS = frozenset({"written", "by_hand"})

Value = Any


@dataclass(frozen=True)
class Call:
    """A function of this package, called.

    Attributes
    ----------
    function : str
        One of `FUNCTIONS`.
    args : tuple
    keywords : tuple of (str, value)
    """

    function: str
    args: tuple[Value, ...] = ()
    keywords: tuple[tuple[str, Value], ...] = ()

    def __post_init__(self) -> None:
        _known(self.function, FUNCTIONS)
        _plain((*self.args, *_keywords(self.keywords)))


@dataclass(frozen=True)
class Method:
    """A method of a result, called; `name` is one of `METHODS`."""

    of: Value
    name: str
    args: tuple[Value, ...] = ()
    keywords: tuple[tuple[str, Value], ...] = ()

    def __post_init__(self) -> None:
        _known(self.name, METHODS)
        _plain((self.of, *self.args, *_keywords(self.keywords)))


@dataclass(frozen=True)
class Get:
    """An attribute of a result, or an item of it by number."""

    of: Value
    name: str | int

    def __post_init__(self) -> None:
        if isinstance(self.name, bool) or not isinstance(self.name, int):
            _known(self.name, ATTRIBUTES)
        _plain((self.of,))


@dataclass(frozen=True)
class Items:
    """A list."""

    items: tuple[Value, ...]

    def __post_init__(self) -> None:
        _plain(self.items)


@dataclass(frozen=True)
class Table:
    """A dict with texts as keys."""

    items: tuple[tuple[str, Value], ...]

    def __post_init__(self) -> None:
        _plain([part for item in self.items for part in item])


@dataclass(frozen=True)
class Region:
    """A geometry in level-0 pixels, as WKT with all digits."""

    wkt: str


@dataclass(frozen=True)
class Stored:
    """A store, by its path from the folder of all stores, with slashes."""

    path: str

    def __post_init__(self) -> None:
        parts = self.path.split("/")
        if not all(parts) or {".", ".."} & set(parts) or "\\" in self.path:
            raise ValueError(f"{self.path[:40]!r} is no path of a store")


@dataclass(frozen=True)
class Step:
    """A result under a name, one of `NOTES`."""

    name: str
    value: Value

    def __post_init__(self) -> None:
        _known(self.name, NOTES)
        _plain((self.value,))


_COMPOSED = (Call, Method, Get, Items, Table, Region, Stored, Step)


def call(function: str, *args: Value, **keywords: Value) -> Call:
    """Call a function; keywords that are None are left out."""
    return Call(
        function, args, tuple((k, v) for k, v in keywords.items() if v is not None)
    )


def region(geometry: Any) -> Region:
    """Give a shapely geometry with every bit of its coordinates."""
    import shapely

    return Region(shapely.to_wkt(geometry, rounding_precision=17))


def _keywords(keywords: tuple[tuple[str, Value], ...]) -> list[Value]:
    for name, _ in keywords:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(f"{name[:40]!r} is no keyword")
    return [value for _, value in keywords]


def _known(name: object, names: Any) -> None:
    if name not in names:
        raise ValueError(f"a script does not know {str(name)[:40]!r}")


def _plain(values: Any) -> None:
    """See to it that what is printed reads as what it is."""
    for value in values:
        if isinstance(value, tuple):
            _plain(value)
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise ValueError(f"{value!r} is no number")
        elif type(value) not in (*_COMPOSED, str, int, bool, type(None)):
            raise TypeError(f"a script cannot hold a {type(value).__name__}")
