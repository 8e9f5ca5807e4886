"""``heatmap --fine``: similarity patch by patch in a rectangle of the store's slide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._bar import progress_bar
from napari_pathfm.cli._heatmap_maps import Maps, one_map, places_of
from napari_pathfm.cli._options import add_device, add_weights, box, weights_of
from napari_pathfm.errors import StoreError

if TYPE_CHECKING:
    import argparse

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.encoders import Encoder
    from napari_pathfm.slides import Slide


def add_fine(parser: argparse.ArgumentParser) -> None:
    """Add ``--fine`` and what it needs."""
    parser.add_argument(
        "--fine",
        type=box,
        metavar="X,Y,W,H",
        help="with --like: in this box of level-0 pixels, one value per patch (7 um) "
        "rather than per tile; encodes what the store has no patch tokens of",
    )
    parser.add_argument(
        "--slide",
        type=Path,
        metavar="SLIDE",
        help="with --fine: where the slide is now; by default where it was embedded",
    )
    add_weights(parser, "encoder")
    add_device(parser)


def fine(store: EmbeddingStore, options: argparse.Namespace) -> Maps:
    """Similarity to points and regions, patch by patch."""
    from napari_pathfm.heatmaps import PatchVectors, fine_similarity
    from napari_pathfm.slides import check_box

    like, unlike = places_of(options.like), places_of(options.unlike)
    with _slide_of(store, options.slide) as slide:
        # Said before a model is loaded.
        check_box(slide, options.fine)
        encoder = _encoder_of(store, options)
        patches = PatchVectors(slide, encoder, store=store)
        with progress_bar(encoder.spec.title, "tile") as draw:
            heatmap = fine_similarity(
                patches,
                options.fine,
                like,
                unlike,
                reduce=options.reduce,
                progress=draw,
            )
    made = one_map(heatmap)
    made.report["unreadable_tiles"] = len(patches.failed)
    if patches.failed:
        made.lines.append(f"{len(patches.failed)} tiles cannot be read: left out")
    return made


def _slide_of(store: EmbeddingStore, given: Path | None) -> Slide:
    """Open the slide that a store was made of.

    Raises
    ------
    StoreError
        It is not there any more, or the file is another slide.
    """
    from napari_pathfm.slides import open_slide

    told = store.attrs
    path = given or Path(str(told.get("slide_path", "")))
    if given is None and not path.exists():
        raise StoreError(
            f"{store.path.name} was made of {told.get('slide', 'a slide')}, which is "
            "not where it was: say where it is with --slide"
        )
    own = told["slide_mpp"] if told.get("slide_mpp_source") == "user" else None
    slide = open_slide(path, mpp=own, icc=bool(told.get("icc_applied")))
    if slide.fingerprint != told.get("slide_fingerprint"):
        slide.close()
        raise StoreError(
            f"{store.path.name} was not made of {path.name}: give its own slide with "
            "--slide"
        )
    return slide


def _encoder_of(store: EmbeddingStore, options: argparse.Namespace) -> Encoder:
    """Load the encoder that made a store.

    Raises
    ------
    StoreError
        Its weights are not those that are found here.
    """
    from napari_pathfm.encoders import encoder_spec, load_encoder

    spec = encoder_spec(str(store.attrs["encoder"]))
    weights = weights_of(spec, options.weights)
    encoder = load_encoder(spec, weights=weights, device=options.device)
    made_by = str(store.attrs["weights_revision"])
    if _weights(made_by) != _weights(encoder.revision):
        raise StoreError(
            f"{store.path.name} was made with other weights of {spec.title} "
            f"({made_by}, here {encoder.revision}): give them with --weights, or embed "
            "the slide again"
        )
    return encoder


def _weights(revision: str) -> str:
    """Give the weights' digest, wherever they come from and however they run."""
    return revision.partition("+")[0].rpartition(":")[2]
