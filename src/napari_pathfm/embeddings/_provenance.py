"""What a store was made of and how; which stores may meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pathfm.embeddings._store import FORMAT, VERSION
from napari_pathfm.errors import IncomparableError, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_pathfm.embeddings._store import EmbeddingStore
    from napari_pathfm.embeddings._worker import EncoderFacts
    from napari_pathfm.encoders import Encoder
    from napari_pathfm.slides import Slide, TileGrid

# What must agree before a store is resumed, in the words of the message.
_IDENTITY = {
    "encoder": "encoder",
    "encoder_spec": "description of the encoder",
    "weights_revision": "weights",
    "pooling": "pooling",
    "slide_fingerprint": "slide",
    "slide_mpp": "slide's pixel size",
    "mpp": "tile mpp",
    "tile_px": "tile size",
    "grid": "tile grid",
    "resampling": "way of resizing tiles",
    "icc_applied": "use of the colour profile",
    "patches": "choice of patch tokens",
}


def store_attrs(
    slide: Slide, encoder: Encoder | EncoderFacts, grid: TileGrid, *, patches: bool
) -> dict[str, Any]:
    """Everything that makes two stores comparable or not, JSON-serialisable."""
    spec = encoder.spec
    return {
        **slide_attrs(slide, grid),
        "encoder": spec.name,
        "encoder_spec": spec.digest,
        "weights_revision": encoder.revision,
        "pooling": encoder.pooling,
        "transform": {"mean": list(spec.mean), "std": list(spec.std)},
        "resampling": slide.resampling(grid.mpp),
        "icc_applied": slide.icc_applied,
        "patches": patches,
    }


def slide_attrs(slide: Slide, grid: TileGrid) -> dict[str, Any]:
    """Give that part of a store's attributes which any encoder's would have."""
    from napari_pathfm import __version__

    made_by = slide.synthetic
    return {
        # Real tissue has no such entry.
        **({} if made_by is None else {"synthetic": made_by}),
        "format": FORMAT,
        "version": VERSION,
        "tile_px": grid.px,
        "mpp": grid.mpp,
        "dtype": "float16",
        "slide": slide.path.name,
        "slide_path": str(slide.path),
        "slide_fingerprint": slide.fingerprint,
        "slide_dimensions": list(slide.dimensions),
        "slide_mpp": slide.require_mpp(),
        "slide_mpp_source": slide.mpp_source,
        "grid": grid.to_attrs(),
        "software": f"napari-pathfm {__version__}",
    }


def check_same(store: EmbeddingStore, attrs: dict[str, Any]) -> None:
    """Refuse to resume a store that was made otherwise.

    Raises
    ------
    StoreError
        Naming what differs.
    """
    for key, words in _IDENTITY.items():
        before, now = store.attrs.get(key), attrs.get(key)
        if before != now:
            raise StoreError(
                f"{store.path} was made with another {words} "
                f"({_short(before)}, now {_short(now)}): "
                "choose another --out, or delete it"
            )


# What must agree before vectors of two stores are compared.
_COMPARABLE = (
    "encoder",
    "weights_revision",
    "pooling",
    "mpp",
    "tile_px",
    "icc_applied",
)


def comparable_facts(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Give what `check_comparable` asks of a store, and no more."""
    return {key: attrs.get(key) for key in (*_COMPARABLE, "encoder_spec")}


def check_comparable(
    first: Mapping[str, Any], second: Mapping[str, Any], names: tuple[str, str]
) -> None:
    """Refuse to compare vectors that do not belong together.

    Weights count by their checksum, wherever they came from. What is not known is like
    nothing else: imported features seldom say which weights made them.

    Parameters
    ----------
    first, second : mapping
        Attributes of a store, or the provenance of something made from one.
    names : (str, str)
        What they are, for people.

    Raises
    ------
    IncomparableError
        Naming what differs or is unknown.
    """
    for key in _COMPARABLE:
        ours, theirs = first.get(key), second.get(key)
        for name, value in zip(names, (ours, theirs), strict=True):
            if value is None or value == "unknown":
                raise IncomparableError(
                    f"{name} does not say its {_IDENTITY[key]}: it can be "
                    "compared with nothing else"
                )
        if key == "weights_revision":
            same = str(ours).rpartition(":")[2] == str(theirs).rpartition(":")[2]
        else:
            same = ours == theirs
        if not same:
            raise IncomparableError(
                f"{names[0]} and {names[1]} cannot be compared: another "
                f"{_IDENTITY[key]} ({_short(ours)} and {_short(theirs)})"
            )
    # Encoders of the catalogue have none.
    if first.get("encoder_spec") != second.get("encoder_spec"):
        raise IncomparableError(
            f"{names[0]} and {names[1]} cannot be compared: another "
            f"{_IDENTITY['encoder_spec']}"
        )


def fits_slide(store: EmbeddingStore, slide: Slide) -> bool:
    """Whether a store was made of a slide's pixels as they would be read now.

    Early versions did not say how they resized tiles; their stores fit no slide, as
    `embed_slide` takes none of them up again.
    """
    attrs = store.attrs
    return attrs.get("slide_fingerprint") == slide.fingerprint and (
        attrs.get("slide_mpp") == slide.mpp
        and attrs.get("resampling") == slide.resampling(float(attrs["mpp"]))
        and attrs.get("icc_applied") == slide.icc_applied
    )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
