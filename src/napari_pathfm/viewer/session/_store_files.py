"""Which embedding store on disk answers for a slide, an encoder and a step."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_pathfm.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.encoders import Encoder, EncoderSpec
    from napari_pathfm.slides import Slide
    from napari_pathfm.viewer.session._models import Models


# Tiles per tile's side that the panel offers, from quick to fine.
OVERLAPS = (1, 2, 4)


@dataclass(frozen=True)
class StoreKey:
    """What makes two stores of the viewer different ones.

    Attributes
    ----------
    slide : str
        The slide's name, for people who look into the folder.
    fingerprint : str
        Which slide it is.
    mpp : float
        Micrometres per level-0 pixel: tiles are cut by it.
    encoder : str
        Name in the catalogue.
    overlap : int
        Tiles per tile's side: 1 is side by side, 2 steps of half a tile.
    description : str
        Digest of the file that describes the encoder, where a person wrote one.
    """

    slide: str
    fingerprint: str
    mpp: float
    encoder: str
    overlap: int
    description: str = ""

    @classmethod
    def of(cls, slide: Slide, spec: EncoderSpec, overlap: int = 1) -> StoreKey:
        """Give the key of a slide whose pixel size is known."""
        return cls(
            slide.name,
            slide.fingerprint,
            slide.require_mpp(),
            spec.name,
            overlap,
            spec.digest or "",
        )

    def path(self, cache: Path) -> Path:
        """Give the store's folder, readable to people and unique."""
        step = "" if self.overlap == 1 else f"-step1of{self.overlap}"
        folder = f"{self.slide}-{self.fingerprint[:8]}"
        encoder = "-".join(filter(None, (self.encoder, self.description)))
        name = f"{encoder}{step}-{self.mpp:.6g}mpp.zarr"
        return cache / "embeddings" / folder / name


def finished_store(
    path: Path, encoder: Encoder | None, slide: Slide
) -> EmbeddingStore | None:
    """Open a store that is complete, by its encoder, of the slide as it is read now.

    The encoder counts where it is loaded.

    A finished store answers without its encoder: a slide that was embedded last week
    has its heatmap before PyTorch would be imported.
    """
    from napari_pathfm.embeddings import fits_slide, open_store

    if not path.exists():
        return None
    store = open_store(path)
    if encoder is not None and store.attrs.get("weights_revision") != encoder.revision:
        return None
    return store if store.complete and fits_slide(store, slide) else None


def path_for_run(path: Path, encoder: Encoder, slide: Slide) -> Path:
    """Give where a run may write: elsewhere if this store was made otherwise.

    By other weights, or of tiles that were read another way (which stores of early
    versions do not say): such a store is not touched.
    """
    from napari_pathfm.embeddings import fits_slide, open_store

    if not path.exists():
        return path
    revision, fits = None, True
    try:
        store = open_store(path)
    except StoreError:
        pass
    else:
        revision = store.attrs.get("weights_revision")
        fits = fits_slide(store, slide)
    if revision == encoder.revision and fits:
        return path
    tail = encoder.revision.rsplit(":", 1)[-1]
    if not fits:
        reading = f"{tail} {slide.reading} {slide.scaled_decode} {slide.icc_applied}"
        tail = hashlib.sha256(reading.encode()).hexdigest()[:12]
    return path.with_name(f"{path.stem}-{tail}{path.suffix}")


def key_of(store: EmbeddingStore, slide: Slide, models: Models) -> StoreKey:
    """Tell what a store that was made elsewhere is to this viewer.

    How its tiles were resized is not asked, as it is of our own: whoever brings a
    store, perhaps one of another program's features, wants it as it is.

    Raises
    ------
    StoreError
        It is of another slide or pixel size, by an encoder that is not in the
        catalogue, or of tiles in steps that the panel does not have.
    """
    attrs, name = store.attrs, store.path.name
    if attrs.get("slide_fingerprint") != slide.fingerprint:
        raise StoreError(f"{name} is of another slide than {slide.name}")
    if attrs.get("slide_mpp") != slide.mpp:
        raise StoreError(
            f"{name} was made at {attrs.get('slide_mpp')} µm/px, and {slide.name} is "
            f"open at {slide.mpp}: enter the pixel size that is right, or embed again"
        )
    encoder = attrs.get("encoder")
    if encoder not in {choice.name for choice in models.encoder_choices()}:
        raise StoreError(
            f"{name} was made by {encoder}, which is not in the catalogue "
            "(`napari-pathfm models`)"
        )
    grid = store.grid
    # Where pieces have lattices of their own, the stride is that of a finer one.
    overlap = grid.tile_size / (grid.step or grid.stride)
    if not any(abs(overlap / known - 1) < 0.01 for known in OVERLAPS):
        raise StoreError(
            f"{name} has {overlap:.3g} tiles per tile's side, and the panel 1, 2 or 4: "
            "use `napari-pathfm heatmap` for its maps"
        )
    return StoreKey.of(slide, models.encoder_spec(encoder), round(overlap))
