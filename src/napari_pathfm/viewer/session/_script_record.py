"""Where the parts of a session tell its script what they have done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer._metadata import entry
from napari_pathfm.viewer.session._script_calls import (
    apart_step,
    attended_step,
    classifier_step,
    encoder_step,
    likeness_step,
    made_step,
    maps_step,
    save_classifier_step,
    slide_step,
    store_step,
    trusted_step,
    virtual_step,
)
from napari_pathfm.viewer.session._script_code import Get, Method

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Image, Layer

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.encoders import Encoder
    from napari_pathfm.heatmaps import Heatmap
    from napari_pathfm.slides import Slide
    from napari_pathfm.synthesis import PlacedImages, VirtualSlide
    from napari_pathfm.viewer.session._class_work import Answer
    from napari_pathfm.viewer.session._filling import Partial
    from napari_pathfm.viewer.session._request import Request
    from napari_pathfm.viewer.session._script_code import Step
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState


def record_slide(session: Session, state: SlideState) -> None:
    """A slide was opened, or has another pixel size now."""
    key = f"slide {state.fingerprint}"
    session.script.record(key, slide_step(state.slide), layer=state.layer)


def record_similarity(
    session: Session, state: SlideState, store: EmbeddingStore, partial: Partial
) -> None:
    """A slide is embedded, and maybe compared with places."""
    script, layer = session.script, session.similarity.layer
    embedded = _store(session, state.slide, store)
    script.record(f"store {state.fingerprint}", embedded, layer=state.layer)
    if partial.heatmap is None or layer is None or not state.has_like:
        return
    step = likeness_step(embedded, partial.like, partial.unlike)
    script.record(
        f"likeness {state.fingerprint}",
        step,
        layer=layer,
        array=Get(step, "values"),
        pixels=partial.heatmap.values,
    )
    script.shows(layer, step)


def known_classifier(session: Session, state: SlideState) -> Step | None:
    """Give what makes the classifier of a slide's labels again."""
    answer, store = session.classes.answer, _known_store(session, state)
    if answer is None or answer.classifier is None or store is None:
        return None
    embedded = _store(session, state.slide, store)
    return classifier_step(embedded, answer, session.classes.loaded_from)


def record_classes(session: Session, state: SlideState, answer: Answer) -> None:
    """A slide's classes were fitted, or a classifier from a file was used."""
    key, store = f"classes {state.fingerprint}", _known_store(session, state)
    # Of a slide that is embedded in part the map is not what the script would make.
    if (
        store is None
        or not store.complete
        or not np.array_equal(answer.vectors.done, store.done)
        or answer.classifier is None
        or answer.maps is None
    ):
        session.script.drop(key)
        return
    embedded = _store(session, state.slide, store)
    classifier = classifier_step(embedded, answer, session.classes.loaded_from)
    step = maps_step(embedded, classifier)
    session.script.record(
        key,
        step,
        layer=state.layer,
        array=Get(step, "chances"),
        pixels=answer.maps.chances,
    )


def record_shown_classes(session: Session, layer: Layer, name: str | None) -> None:
    """A layer shows the likeliest class, or the probability of one."""
    own = entry(layer) or {}
    found = session.script.now().get(f"classes {own.get('fingerprint')}")
    if found is not None:
        how = (
            Method(found.step, "likeliest")
            if name is None
            else Method(found.step, "probability", (name,))
        )
        session.script.shows(layer, how)


def record_saved_classifier(session: Session, state: SlideState, path: Path) -> None:
    """The classifier of a slide's labels was written."""
    answer, store = session.classes.answer, _known_store(session, state)
    classifier = known_classifier(session, state)
    if answer is not None and store is not None and classifier is not None:
        embedded = _store(session, state.slide, store)
        step = save_classifier_step(embedded, answer, classifier, path)
        session.script.record(f"written {path}", step)


def record_head(
    session: Session,
    slide: Slide,
    store: EmbeddingStore,
    path: Path,
    shown: list[tuple[Layer, Heatmap]],
) -> None:
    """A slide-level head has looked at a slide."""
    step = attended_step(_store(session, slide, store), path)
    for number, (layer, heatmap) in enumerate(shown):
        own = Get(step, number)
        session.script.record(
            f"head {slide.fingerprint} {number}",
            step,
            layer=layer,
            array=Get(own, "values"),
            pixels=heatmap.values,
        )
        session.script.shows(layer, own)


def record_made(
    session: Session,
    layer: Image,
    asked: tuple[str, Slide, Request],
    result: PlacedImages,
) -> None:
    """Synthetic tissue was made, and lies in a layer."""
    generator, slide, request = asked
    models = session.models
    spec = models.generator_spec(generator)
    encoder = None if spec is None else models.loaded_encoder(spec.encoder)
    unknown = request.settings.get("classifier") and request.classifier is None
    if encoder is None or unknown:
        return
    step = made_step(models, generator, encoder.revision, slide, request)
    key = f"made {layer.unique_id}"
    array = Get(step, "pixels")
    session.script.record(key, step, layer=layer, array=array, pixels=result.pixels)
    session.script.shows(layer, step)


def record_difference(
    session: Session, result: PlacedImages, layer: Layer, pixels: Any
) -> None:
    """Synthetic and real colours were compared."""
    made = session.script.step_of(_layer_of(session, result))
    if made is not None:
        step = apart_step(made)
        key = f"apart {result.slide_fingerprint}"
        session.script.record(key, step, layer=layer, array=step, pixels=pixels)


def record_trust(
    session: Session,
    result: PlacedImages,
    index: int,
    slide: Slide,
    store: EmbeddingStore,
    second: Encoder | None,
) -> None:
    """One image of a result was compared with its slide."""
    layer = _layer_of(session, result)
    made = session.script.step_of(layer)
    if layer is None or made is None:
        return
    other = None
    if second is not None:
        other = encoder_step(session.models, second.spec.name, second.revision)
    embedded = _store(session, slide, store)
    step = trusted_step(made, index, slide, embedded, other)
    key = f"trusted {layer.unique_id} {index}"
    session.script.record(key, step, layer=layer)


def record_virtual(
    session: Session,
    layer: Layer,
    virtual: VirtualSlide,
    slide: Slide,
    store: EmbeddingStore,
) -> None:
    """A virtual slide was laid over a slide."""
    embedded = _store(session, slide, store)
    name = virtual.provenance.generator
    step = virtual_step(session.models, name, slide, embedded, virtual.asked)
    session.script.record(f"virtual {slide.fingerprint}", step, layer=layer)


def _known_store(session: Session, state: SlideState) -> EmbeddingStore | None:
    try:
        return session.similarity.store(state)
    except PathfmError:
        # It is being made this moment.
        return None


def _store(session: Session, slide: Slide, store: EmbeddingStore) -> Step:
    return store_step(session.models, slide, store, session.script.stores)


def _layer_of(session: Session, result: PlacedImages) -> Layer | None:
    """Find the layer that shows a result, by what made it."""
    told = [image.provenance.to_dict() for image in result.images]
    for layer in reversed(session.viewer.layers):
        own = entry(layer) or {}
        if own.get("kind") == "synthetic" and own.get("provenance") == told:
            return layer
    return None
