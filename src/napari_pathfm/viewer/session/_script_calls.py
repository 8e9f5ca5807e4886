"""What is done in the window, as the calls of the public functions that do it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer.session._script_code import (
    Get,
    Items,
    Method,
    Step,
    Stored,
    Table,
    call,
    region,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.heatmaps import LabelledTiles, TissueClass
    from napari_pathfm.slides import Slide, TileGrid
    from napari_pathfm.viewer.session._class_work import Answer
    from napari_pathfm.viewer.session._models import Models
    from napari_pathfm.viewer.session._request import Request
    from napari_pathfm.viewer.session._script_code import Value
    from napari_pathfm.weights import ModelSpec

# What comes of a function of `synthesis`.
_MADE = {
    "vary": "variants",
    "walk": "walked",
    "steer": "steered",
    "repair": "repaired",
    "twin": "twinned",
    "extend": "extended",
}


def slide_step(slide: Slide) -> Step:
    """Open a slide; with its pixel size where a person gave that."""
    own = slide.mpp if slide.mpp_source == "user" else None
    path = str(Path(slide.path).absolute())
    return Step("slide", call("slides.open_slide", path, mpp=own))


def encoder_step(models: Models, name: str, revision: str) -> Step:
    """Load an encoder as it computed: `revision` says the precision.

    No device: the window chooses none, and may not have loaded the encoder at all.
    """
    spec, loaded = models.encoder_spec(name), models.loaded_encoder(name)
    extras = revision.split("+")[1:]
    half = next((one for one in extras if one in ("bf16", "fp16")), "fp32")
    engine = "openvino" if "openvino" in extras else None
    if loaded is not None and loaded.engine != "torch":
        engine = loaded.engine
    loading = call(
        "encoders.load_encoder",
        spec.name if spec.source is None else str(spec.source),
        weights=_weights(models, spec),
        precision=half,
        engine=engine,
    )
    return Step("encoder", loading)


def generator_step(models: Models, name: str) -> Step:
    """Load a generator; consent to code of others is no part of a script."""
    spec = models.generator_spec(name)
    weights = None if spec is None else _weights(models, spec)
    return Step("generator", call("generators.load_generator", name, weights=weights))


def grid_step(slide: Slide, grid: TileGrid) -> Step:
    """Cut a slide's tissue into tiles."""
    opened = slide_step(slide)
    tissue = Step("tissue", call("slides.tissue_mask", opened))
    # The argument is in pixels of the tile; the attribute in the slide's own.
    stride = round(grid.stride * slide.require_mpp() / grid.mpp, 6)
    made = call(
        "slides.tile_grid",
        opened,
        px=int(grid.px),
        mpp=float(grid.mpp),
        stride=float(stride),
        tissue=tissue,
    )
    return Step("grid", made)


def store_step(
    models: Models, slide: Slide, store: EmbeddingStore, stores: Path
) -> Step:
    """Embed a slide into a store below `stores`; one from elsewhere is read."""
    if not store.path.is_relative_to(stores):
        return Step("store", call("embeddings.open_store", str(store.path)))
    encoder = encoder_step(
        models, str(store.attrs["encoder"]), str(store.attrs["weights_revision"])
    )
    where = Stored(store.path.relative_to(stores).as_posix())
    grid = grid_step(slide, store.grid)
    made = call("embeddings.embed_slide", slide_step(slide), encoder, where, grid=grid)
    return Step("store", made)


def vectors_step(store: Step) -> Step:
    """Read a store's vectors, once for all that compares them."""
    return Step("vectors", call("heatmaps.UnitVectors.of", store))


def likeness_step(store: Step, like: Iterable[Any], unlike: Iterable[Any]) -> Step:
    """Compare a slide's tiles with places."""
    others = Items(tuple(_place(one) for one in unlike))
    made = call(
        "heatmaps.similarity",
        vectors_step(store),
        like=Items(tuple(_place(one) for one in like)),
        unlike=others if others.items else None,
    )
    return Step("likeness", made)


def validation_step(store: Step, tiles: LabelledTiles, grid: TileGrid) -> Step:
    """Leave labels out, place by place."""
    labelled = _labelled_step(store, tiles, grid)
    return Step("validation", call("heatmaps.validate", vectors_step(store), labelled))


def classifier_step(store: Step, answer: Answer, loaded: Path | None) -> Step:
    """Fit a slide's labels, or read the classifier from a file."""
    if loaded is not None:
        return Step("classifier", call("heatmaps.load_few_shot", str(loaded)))
    assert answer.classifier is not None
    tiles = answer.tiles.among(answer.vectors.done)
    grid = answer.vectors.grid
    temperature: Value = float(answer.classifier.temperature)
    if answer.validation is not None:
        temperature = Get(validation_step(store, tiles, grid), "temperature")
    fitted = call(
        "heatmaps.fit_few_shot",
        vectors_step(store),
        _labelled_step(store, tiles, grid),
        temperature=temperature,
    )
    return Step("classifier", fitted)


def maps_step(store: Step, classifier: Step) -> Step:
    """See what a classifier says of every tile."""
    made = call("heatmaps.ClassMaps", vectors_step(store), classifier)
    return Step("class_maps", made)


def save_classifier_step(
    store: Step, answer: Answer, classifier: Step, path: Path
) -> Step:
    """Write a classifier, with how good it was where that is known."""
    checked = None
    if answer.validation is not None:
        tiles = answer.tiles.among(answer.vectors.done)
        checked = Method(validation_step(store, tiles, answer.vectors.grid), "to_json")
    saved = call(
        "heatmaps.save_few_shot", classifier, str(path.absolute()), validation=checked
    )
    return Step("written", saved)


def attended_step(store: Step, head: Path) -> Step:
    """See where a slide-level head looks."""
    loaded = Step("head", call("evaluation.load_head", str(head.absolute())))
    return Step("attended", call("heatmaps.attention", store, loaded))


def made_step(
    models: Models,
    generator: str,
    revision: str,
    slide: Slide,
    request: Request,
) -> Step:
    """Make synthetic tissue; `revision` is that of the encoder it is steered by."""
    maker = generator_step(models, generator)
    spec = models.generator_spec(generator)
    assert spec is not None
    keywords = {
        key: request.classifier if key == "classifier" else _plain(value)
        for key, value in request.settings.items()
    }
    made = call(
        f"synthesis.{request.verb}",
        slide_step(slide),
        *(_places(one) for one in request.places),
        maker,
        encoder_step(models, spec.encoder, revision),
        **keywords,
    )
    return Step(_MADE[request.verb], made)


def apart_step(made: Step) -> Step:
    """Tell how much synthetic and real colours differ."""
    pixels = call("synthesis.difference", Get(made, "source"), Get(made, "pixels"))
    return Step("apart", pixels)


def trusted_step(
    made: Step, index: int, slide: Slide, store: Step, second: Step | None
) -> Step:
    """Compare one synthetic tile with its slide; models are those that made it."""
    generator, encoder = made.value.args[-2:]
    compared = call(
        "synthesis.trust",
        Get(Get(made, "images"), index),
        slide_step(slide),
        store,
        encoder,
        Get(generator, "spec"),
        second=second,
    )
    return Step("trusted", compared)


def virtual_step(
    models: Models,
    generator: str,
    slide: Slide,
    store: Step,
    settings: Mapping[str, Any],
) -> Step:
    """Lay a virtual slide over a slide."""
    maker = generator_step(models, generator)
    asked = {key: _plain(value) for key, value in settings.items()}
    made = call("synthesis.VirtualSlide", slide_step(slide), store, maker, **asked)
    return Step("virtual", made)


def _labelled_step(store: Step, tiles: LabelledTiles, grid: TileGrid) -> Step:
    centres = grid.coords + grid.tile_size / 2
    # By class, in the order of the classes: that is how they are numbered again.
    order = np.lexsort((tiles.rows, tiles.labels))
    rows, labels = tiles.rows[order], tiles.labels[order]
    places = Items(
        tuple(
            (tuple(float(v) for v in centres[row]), tiles.classes[label].name)
            for row, label in zip(rows, labels, strict=True)
        )
    )
    used = [tiles.classes[i] for i in sorted(set(labels.tolist()))]
    made = call("heatmaps.label_places", Get(store, "grid"), places, _colors(used))
    return Step("labelled", made)


def _colors(classes: Iterable[TissueClass]) -> Table:
    return Table(tuple((one.name, tuple(map(int, one.color))) for one in classes))


def _weights(models: Models, spec: ModelSpec) -> str | None:
    try:
        found = models.weights(spec)
    except PathfmError:
        # The folder that was set is gone; said when a model is asked for.
        return None
    return None if found is None else str(found)


def _places(places: Any) -> Value:
    """Give a place, a box or several places."""
    if isinstance(places, list):
        return Items(tuple(_place(one) for one in places))
    return _place(places)


def _place(place: Any) -> Value:
    if isinstance(place, tuple):
        return tuple(float(value) for value in place)
    return region(place)


def _plain(value: Any) -> Value:
    return value.item() if isinstance(value, np.generic) else value
