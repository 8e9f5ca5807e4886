"""A store that a person brings: made from the shell, on a cluster, by somebody else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import PathfmError, StoreError
from napari_pathfm.viewer._metadata import KEY, entry, layers_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState


class GivenStores:
    """The embeddings that people gave for slides, in place of those made here.

    Which one it is stands in the slide layer's entry, as ``store``: so it can be said
    before there is a panel, and by a reader, which knows of no session.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._taken: dict[SlideState, str] = {}

    def follow(self, state: SlideState) -> None:
        """Use the store that a slide's layer names, now and whenever it changes."""
        state.layer.events.metadata.connect(self._on_metadata)
        # The state is being made, and nothing may ask for it yet.
        self._session.runner.soon(lambda: self._take(state))

    def release(self, state: SlideState) -> None:
        """Follow a slide no longer."""
        state.layer.events.metadata.disconnect(self._on_metadata)
        self._taken.pop(state, None)

    def use(self, path: Path) -> None:
        """Use a store; its slide is opened where it is not.

        Raises
        ------
        StoreError
            It cannot be read or is not whole, or its slide was not found.
        """
        name_store(self._session.viewer, path)

    def _on_metadata(self) -> None:
        for state in self._session.states():
            self._take(state)

    def _take(self, state: SlideState) -> None:
        named = (entry(state.layer) or {}).get("store")
        if not named or named == self._taken.get(state):
            return
        self._taken[state] = named
        try:
            self._session.similarity.use(state, whole_store(Path(named)))
        except PathfmError as error:
            self._taken.pop(state)
            state.layer.metadata[KEY].pop("store")
            self._session.report(error)


def whole_store(path: Path) -> EmbeddingStore:
    """Open a store that holds all of its slide.

    Raises
    ------
    StoreError
        It cannot be read, or tiles are missing.
    """
    from napari_pathfm.embeddings import open_store

    store = open_store(path)
    if not store.complete:
        raise StoreError(
            f"{path} is not finished: run `napari-pathfm embed` on its slide again, "
            "which goes on where it stopped"
        )
    return store


def name_store(viewer: ViewerModel, path: Path) -> None:
    """Name a store in the entry of its slide's layer; open the slide if need be.

    Raises
    ------
    StoreError
        The store cannot be used, or its slide was not found.
    """
    from napari_pathfm.viewer.session._session_slides import add_slide

    store = whole_store(path)
    layers = layers_of(viewer.layers, "slide", store.attrs.get("slide_fingerprint"))
    if layers:
        name_on(layers[-1], path)
        return
    layer = add_slide(viewer, slide_of(store), own_mpp(store))
    name_on(layer, path)


def slide_of(store: EmbeddingStore) -> Path:
    """Find the slide that a store was made from: where it was, or beside the store.

    Raises
    ------
    StoreError
        It is not there.
    """
    from napari_pathfm.viewer.session._session_slides import find_slide

    attrs = store.attrs
    told = str(attrs.get("slide_path") or attrs.get("slide") or "")
    facts = {
        "path": told,
        "relative": None,
        "fingerprint": attrs.get("slide_fingerprint"),
    }
    folders = [store.path.absolute().parent, store.path.absolute().parent.parent]
    found = find_slide(facts, folders) if told else None
    if found is None:
        raise StoreError(
            f"{store.path.name} is of the slide {Path(told).name or 'without a name'}, "
            f"which is not at {told or 'any known place'} nor beside the store: open "
            "the slide, then the store"
        )
    return found


def own_mpp(store: EmbeddingStore) -> float | None:
    """Give the pixel size that a person had stated when the store was made."""
    stated = store.attrs.get("slide_mpp_source") == "user"
    return float(store.attrs["slide_mpp"]) if stated else None


def name_on(layer: Layer, path: Path) -> None:
    """Write into a slide layer's entry which store answers for it."""
    facts: dict[str, Any] = {**layer.metadata[KEY], "store": str(path.absolute())}
    # Set as a whole, which tells whoever listens; a change within would not.
    layer.metadata = {**layer.metadata, KEY: facts}
