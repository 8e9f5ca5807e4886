"""The slide: name, size in pixels and on the glass, pixel size, tissue."""

# ruff: noqa: RUF001 (× is what is meant)
from __future__ import annotations

from typing import TYPE_CHECKING

from napari.settings import get_settings
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_pathfm.viewer.panel._forms import (
    Decimal,
    Eliding,
    Section,
    add_row,
    form,
    hint,
    quietly,
    set_hint,
)

if TYPE_CHECKING:
    from napari_pathfm.viewer.session import Session, SlideState

_SOURCES = {
    "file": "stated by the file",
    "user": "entered by you",
    "objective": "derived from the {objective:g}× objective, not measured",
}
_MISSING = (
    "This slide does not state its pixel size. Enter it to go on: 0.25 µm/px is usual "
    "for a 40× scan, 0.5 µm/px for 20×. Sizes, tiles and scale bar depend on it."
)
_TOOLTIP = (
    "Micrometres on the glass per pixel of the finest level. Models look at tissue at "
    "a fixed size, so a wrong figure makes every result wrong. Enter a new one and "
    "press Return to correct it."
)


class SlideSection(Section):
    """What the file is, and the one thing about it that a person may have to say."""

    def __init__(self, session: Session) -> None:
        super().__init__("Slide")
        self._session = session
        self.name = Eliding()
        self.extent = QLabel()
        self.mpp = Decimal(0.0, 100.0, 4, 0.05)
        self.mpp.setSuffix(" µm/px")
        self.mpp.setSpecialValueText("not known")
        self.mpp.setButtonSymbols(Decimal.ButtonSymbols.NoButtons)
        self.source = hint()
        self.missing = hint(_MISSING)
        self.usual = _UsualSizes(session)
        self.overview = QCheckBox("On the canvas")
        self.overview.setChecked(True)
        self.background = QCheckBox("In the background")
        self.tissue = QCheckBox("Outline")
        self.fraction = QLabel()

        tissue = QWidget()
        row = QHBoxLayout(tissue)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.tissue)
        row.addWidget(self.fraction, 1)

        layout = form()
        add_row(layout, "Name", self.name)
        add_row(layout, "Size", self.extent)
        add_row(layout, "Pixel size", self.mpp, _TOOLTIP)
        layout.addRow("", self.source)
        self.body.addLayout(layout)
        self.body.addWidget(self.missing)
        self.body.addWidget(self.usual)
        below = form()
        add_row(
            below,
            "Overview",
            self.overview,
            "The whole slide in the canvas's corner, with a frame around what is in "
            "view. Click or drag in it to move there.",
        )
        add_row(
            below,
            "Loading",
            self.background,
            "napari's own setting, for all layers and as long as you leave it on: the "
            "window does not wait for pixels, which appear when they have been read. "
            "Off, as napari is by default, it waits, and nothing flashes.",
        )
        add_row(
            below,
            "Tissue",
            tissue,
            "Where the models look: tissue told from glass by its stain. The share is "
            "that of the whole slide.",
        )
        self.body.addLayout(below)

        self.mpp.editingFinished.connect(self._on_mpp)
        self.tissue.toggled.connect(self._on_tissue)
        self.background.toggled.connect(self._on_background)

    def refresh(self) -> None:
        """Show the session's slide."""
        state = self._session.current
        if state is None:
            return
        slide = state.slide
        width, height = slide.dimensions
        self.name.setText(slide.name)
        self.name.setToolTip(f"{slide.path}\n{slide.vendor}: {slide.reading}")
        self.extent.setText(describe_size(width, height, slide.mpp))
        self.extent.setToolTip(
            f"{width:,} × {height:,} pixels (width × height) at the finest of "
            f"{len(slide.levels)} level{'s' if len(slide.levels) > 1 else ''}"
        )
        with quietly(self.mpp):
            self.mpp.setValue(slide.mpp or 0.0)
        set_hint(self.source, describe_source(state))
        self.missing.setVisible(slide.mpp is None)
        self.usual.setVisible(slide.mpp is None)
        with quietly(self.background):
            self.background.setChecked(get_settings().experimental.async_)
        self.refresh_tissue()

    def refresh_tissue(self) -> None:
        """Show whether the tissue is outlined, and how much there is."""
        tissue = self._session.tissue
        with quietly(self.tissue):
            self.tissue.setChecked(tissue.shown or tissue.busy)
        self.tissue.setEnabled(not tissue.busy)
        if tissue.busy:
            self.fraction.setText("looking…")
        elif tissue.fraction is not None:
            self.fraction.setText(f"{tissue.fraction:.0%} of the slide")
        else:
            self.fraction.clear()

    def _on_mpp(self) -> None:
        value = self.mpp.value()
        state = self._session.current
        # Shown to four decimals; what was not edited is not the person's word.
        shown = None if state is None or state.mpp is None else round(state.mpp, 4)
        if value > 0 and value != shown:
            self._session.set_mpp(value)

    def _on_background(self, on: bool) -> None:
        get_settings().experimental.async_ = on

    def _on_tissue(self, shown: bool) -> None:
        if shown:
            self._session.tissue.show()
        else:
            self._session.tissue.hide()


class _UsualSizes(QWidget):
    """The two pixel sizes that most slides have, for one click."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for mpp, power in ((0.25, "40×"), (0.5, "20×")):
            button = QPushButton(f"{mpp:g} µm/px ({power})")
            button.clicked.connect(lambda _=False, mpp=mpp: session.set_mpp(mpp))
            layout.addWidget(button)


def describe_size(width: int, height: int, mpp: float | None) -> str:
    """Write a slide's size: pixels, and millimetres where they are known."""
    pixels = f"{width:,} × {height:,} px"
    if mpp is None:
        return pixels
    millimetres = [side * mpp / 1000 for side in (width, height)]
    decimals = 1 if max(millimetres) >= 10 else 2
    across, down = (f"{value:.{decimals}f}" for value in millimetres)
    return f"{pixels}\n{across} × {down} mm"


def describe_source(state: SlideState) -> str:
    """Say where the pixel size comes from."""
    slide = state.slide
    if slide.mpp_source is None:
        return ""
    return _SOURCES[slide.mpp_source].format(objective=slide.objective or 0)
