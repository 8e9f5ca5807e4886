"""Synthesis: a generator, its settings, a place, and how far to trust the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QPushButton

from napari_pathfm.viewer._canvas_tool import KEY
from napari_pathfm.viewer.panel._compare_row import CompareRow
from napari_pathfm.viewer.panel._doctor_dialog import DoctorButton, beside
from napari_pathfm.viewer.panel._fidelity_row import FidelityRow
from napari_pathfm.viewer.panel._figures import figures_text
from napari_pathfm.viewer.panel._forms import (
    Combo,
    Decimal,
    Number,
    Section,
    add_row,
    form,
    hint,
    quietly,
    set_hint,
)
from napari_pathfm.viewer.panel._progress_row import ProgressRow
from napari_pathfm.viewer.panel._region_rows import RegionRows

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_pathfm.viewer.session import Session

_CAUTION = (
    "Measured by the encoder that steered the generator: high values are expected and "
    "prove little."
)
_ORIGINS = (("The place", "last"), ("Mean of clicks", "mean"), ("Nothing", "none"))


class SynthesisSection(Section):
    """Generate variants of the tissue at a place."""

    def __init__(self, session: Session) -> None:
        super().__init__("Synthesis")
        self._session = session
        self._choices = {c.name: c for c in session.models.generator_choices()}

        self.generator = Combo()
        for choice in self._choices.values():
            self.generator.addItem(choice.title, choice.name)
        self.n = Number(1, 64)
        self.seed = Number(0, 2**31 - 1)
        self.steps = Number(1, 1000)
        self.guidance = Decimal(0.0, 20.0, 1, 0.5)
        self.preset = Combo()
        self.preset.addItem("Published", "paper")
        self.preset.addItem("Fast", "fast")
        self.origin = Combo()
        for text, name in _ORIGINS:
            self.origin.addItem(text, name)
        self.trust = QCheckBox()
        self.button = QPushButton(f"Generate here ({KEY})")
        self.button.setToolTip(
            f"At the last click. {KEY} generates under the mouse, without a click."
        )
        self.walk = QPushButton("Walk between two clicks")
        self.walk.setToolTip(
            "Goes from the first place to the second along their embeddings, with the "
            "same noise, so that only the tissue changes. A slider steps through the "
            "frames."
        )
        self.steer = QPushButton("Steer towards a class")
        self.steer.setToolTip(
            "Moves the last click's embedding towards the class in hand, with the same "
            "noise, and says what the classifier makes of every step: what would make "
            "this look more like it to the model. Label two classes first."
        )
        self.frames = Number(2, 99)
        self.regions = RegionRows(session)
        self.place = hint()
        self.progress = ProgressRow()
        self.cosines = QLabel()
        self.cosines.setWordWrap(True)
        self.caution = hint(_CAUTION)
        self.compare = CompareRow(session)
        self.fidelity = FidelityRow(session)

        layout = form()
        self.check = DoctorButton(
            session,
            "generator",
            lambda: (session.synthesis.generator, session.synthesis.trust_remote_code),
        )
        add_row(layout, "Generator", beside(self.generator, self.check))
        self.body.addLayout(layout)
        self.body.addLayout(self._settings())
        self.body.addWidget(self.trust)
        self.body.addWidget(self.button)
        self.body.addLayout(self._walk_row())
        self.body.addWidget(self.steer)
        self.body.addWidget(self.regions)
        self.body.addWidget(self.place)
        self.body.addWidget(self.progress)
        self.body.addWidget(self.cosines)
        self.body.addWidget(self.caution)
        self.body.addWidget(self.compare)
        self.body.addWidget(self.fidelity)

        self.generator.currentIndexChanged.connect(self._on_generator)
        self.trust.toggled.connect(lambda on: self._set("trust_remote_code", on))
        self.preset.currentIndexChanged.connect(
            lambda _: self._set("preset", self.preset.currentData())
        )
        self.origin.currentIndexChanged.connect(
            lambda _: self._set("origin", self.origin.currentData())
        )
        for name in ("n", "seed", "steps", "guidance", "frames"):
            field = getattr(self, name)
            field.valueChanged.connect(lambda value, name=name: self._set(name, value))
        self.button.clicked.connect(lambda: session.synthesis.generate())
        self.walk.clicked.connect(lambda: session.synthesis.walk())
        self.steer.clicked.connect(lambda: session.steering.begin())
        self.progress.cancelled.connect(session.synthesis.cancel)

    def refresh(self) -> None:
        """Show the session's settings, work and result."""
        synthesis = self._session.synthesis
        fields = (self.generator, self.n, self.seed, self.steps, self.guidance)
        with quietly(*fields, self.frames, self.trust, self.preset, self.origin):
            self.origin.setCurrentIndex(self.origin.findData(synthesis.origin))
            self.preset.setCurrentIndex(self.preset.findData(synthesis.preset))
            self.frames.setValue(synthesis.frames)
            self.generator.setCurrentIndex(self.generator.findData(synthesis.generator))
            self.n.setValue(synthesis.n)
            self.seed.setValue(synthesis.seed)
            self.steps.setValue(synthesis.steps)
            self.guidance.setValue(synthesis.guidance)
            self.trust.setChecked(synthesis.trust_remote_code)
        choice = self._choices.get(synthesis.generator)
        self.generator.setToolTip(choice.tooltip if choice else "")
        code = choice.remote_code if choice else ""
        self.trust.setVisible(bool(code))
        self.trust.setText("Run the model's own code")
        self.trust.setToolTip(
            f"{code} brings Python code that has to run on this computer. Agree only "
            "if you trust its authors. The answer holds until that code changes."
        )
        self.progress.show_job(synthesis.job)
        self.refresh_place()
        self._refresh_result()

    def refresh_place(self) -> None:
        """Show where the button generates."""
        state = self._session.current
        synthesis = self._session.synthesis
        target = synthesis.target
        ready = state is not None and state.mpp is not None and not synthesis.running
        self.button.setEnabled(ready and target is not None)
        self.walk.setEnabled(ready and synthesis.walk_ends is not None)
        goal = self._session.steering.towards
        self.steer.setEnabled(ready and target is not None and goal is not None)
        self.steer.setText(f"Steer towards {goal or 'a class'}")
        self.regions.refresh()
        if synthesis.running:
            set_hint(self.place, "")
        elif state is None or state.mpp is None:
            set_hint(self.place, "Enter the slide's pixel size first.")
        elif target is None:
            set_hint(self.place, f"Click tissue, or point at it and press {KEY}.")
        else:
            x, y = target
            set_hint(self.place, f"At the last click: x {x:,.0f}, y {y:,.0f} px")

    def _refresh_result(self) -> None:
        result = self._session.synthesis.result
        state = self._session.current
        own = (
            result is not None
            and state is not None
            and result.slide_fingerprint == state.fingerprint
        )
        self.cosines.setVisible(own)
        self.caution.setVisible(own)
        if own and result is not None:
            self.cosines.setText(figures_text(result))
            self.cosines.setToolTip(
                f"One figure per {result.axis}, in the slider's order: 1 means that "
                "the encoder sees no difference."
            )

    def _walk_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.walk, 1)
        label = QLabel("Frames")
        label.setBuddy(self.frames)
        for widget in (label, self.frames):
            widget.setToolTip("Of a walk or of steering, both ends included.")
            row.addWidget(widget)
        return row

    def _settings(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(5)
        places: tuple[tuple[str, QWidget, str], ...] = (
            ("Variants", self.n, "How many images; a slider steps through them."),
            (
                "Seed",
                self.seed,
                "Of the first variant; the next ones count up. The same seed and "
                "settings give the same image.",
            ),
            (
                "Steps",
                self.steps,
                "Steps from noise to tissue: more are slower and often sharper.",
            ),
            (
                "Guidance",
                self.guidance,
                "How strictly to follow the tissue clicked: 1 follows it plainly, more "
                "exaggerates it.",
            ),
            (
                "Sampling",
                self.preset,
                "As published, or with a sampler that needs fewer steps. The image's "
                "provenance says which.",
            ),
            (
                "From",
                self.origin,
                "The embedding of the place alone, the mean of it and all places that "
                "were clicked to be like, or nothing: what the generator makes untold.",
            ),
        )
        for index, (text, field, tooltip) in enumerate(places):
            row, column = divmod(index, 2)
            label = QLabel(text)
            label.setBuddy(field)
            if column == 0:
                label.setFixedWidth(74)
            label.setToolTip(tooltip)
            field.setToolTip(tooltip)
            grid.addWidget(label, row, 2 * column)
            grid.addWidget(field, row, 2 * column + 1)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        return grid

    def _set(self, name: str, value: object) -> None:
        setattr(self._session.synthesis, name, value)

    def _on_generator(self) -> None:
        self._session.synthesis.generator = self.generator.currentData()
