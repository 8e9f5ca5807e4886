"""The doctor's button and dialog, and the model behind them apart from the view."""

from __future__ import annotations

import threading

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLabel

from napari_pathfm.errors import WeightsError
from napari_pathfm.viewer.session import Doctor, InlineRunner
from napari_pathfm.weights import Cause, Check, Diagnosis

PAGE = "https://huggingface.co/bioptimus/H0-mini"
FOUND = Diagnosis(
    model="h0-mini",
    title="H0-mini",
    status="absent",
    access_page=PAGE,
    checks=(
        Check("network", "passed", "huggingface.co answers"),
        Check(
            "access",
            "failed",
            "access to H0-mini was asked for and is awaiting review by its makers",
            Cause.ACCESS_PENDING,
            f"wait for their e-mail, or see {PAGE}",
        ),
        Check("device", "noted", "there is no GPU", Cause.NO_GPU, "use a GPU"),
    ),
)


def test_the_model_apart_from_the_view(models):
    asked = []

    def diagnose(spec, *, weights, trust_remote_code):
        asked.append((spec.name, trust_remote_code))
        return FOUND

    doctor = Doctor(models, InlineRunner(), diagnose)
    heard = []
    doctor.changed.connect(lambda: heard.append(doctor.running))
    assert doctor.headline == ""
    doctor.examine("encoder", "h0-mini")
    doctor.examine("generator", "cytosyn", trust_remote_code=True)
    assert asked == [("h0-mini", False), ("cytosyn", True)]
    assert heard
    assert not doctor.running
    assert doctor.checks == FOUND.checks
    assert doctor.access_page == PAGE
    assert doctor.headline == "H0-mini cannot be used here yet"
    assert doctor.text.splitlines()[0].startswith("H0-mini, napari-pathfm ")
    assert f"see {PAGE}" in doctor.text


def test_what_the_doctor_cannot_do_is_said(models):
    def diagnose(spec, *, weights, trust_remote_code):
        raise WeightsError("the catalogue is damaged: install again")

    doctor = Doctor(models, InlineRunner(), diagnose)
    doctor.examine("encoder", "h0-mini")
    assert doctor.headline == doctor.text == "the catalogue is damaged: install again"
    assert doctor.checks == ()


@pytest.fixture
def slow(monkeypatch):
    """A diagnosis that is done when it is let."""
    let = threading.Event()
    threads = []

    def diagnose(spec, *, weights, trust_remote_code):
        threads.append(threading.current_thread())
        let.wait(20)
        return FOUND

    monkeypatch.setattr("napari_pathfm.weights.diagnose", diagnose)
    # What PyTorch's import needs has its own tests.
    monkeypatch.setattr("napari_pathfm.viewer.session._doctor.import_models", int)
    diagnose.let, diagnose.threads = let, threads
    yield diagnose
    let.set()


def choose(window, name):
    combo = window.panel.similarity.encoder
    combo.setCurrentIndex(combo.findData(name))


def texts(dialog):
    return [label.text() for label in dialog.rows.findChildren(QLabel) if label.text()]


def test_the_button_opens_the_dialog_and_nothing_waits(window, slow):
    choose(window, "h0-mini")
    button = window.panel.similarity.check
    window.press(button)
    dialog = button.dialog
    # The worker still waits to be let; the window does not wait for it.
    assert dialog.isVisible()
    assert not dialog.isModal()
    assert dialog.headline.text() == "Looking at H0-mini…"
    assert dialog.busy.isVisible()
    assert not dialog.again.isEnabled()
    slow.let.set()
    window.until(lambda: not dialog.doctor.running)
    assert slow.threads[0] is not threading.main_thread()
    assert dialog.headline.text() == "H0-mini cannot be used here yet"
    assert not dialog.busy.isVisible()
    shown = "\n".join(texts(dialog))
    assert "awaiting review" in shown
    assert "Network: huggingface.co answers" in shown
    assert "→ use a GPU" in shown
    assert f'href="{PAGE}"' in dialog.page.text()
    assert dialog.page.openExternalLinks()
    QTest.mouseClick(dialog.copy, Qt.MouseButton.LeftButton)
    assert QApplication.clipboard().text() == dialog.doctor.text
    # Again: the rows are replaced, not added.
    count = len(texts(dialog))
    QTest.mouseClick(dialog.again, Qt.MouseButton.LeftButton)
    window.until(lambda: not dialog.doctor.running and len(slow.threads) == 2)
    window.settle()
    assert len(texts(dialog)) == count
    QTest.mouseClick(dialog.shut, Qt.MouseButton.LeftButton)
    assert not dialog.isVisible()


def test_closing_leaves_what_is_going_on(window, slow):
    button = window.panel.synthesis.check
    window.press(button)
    dialog = button.dialog
    window.until(lambda: bool(slow.threads))
    QTest.mouseClick(dialog.shut, Qt.MouseButton.LeftButton)
    slow.let.set()
    window.until(lambda: not window.panel.runner.busy)
    assert dialog.doctor.diagnosis is None
    window.press(button)
    window.until(lambda: dialog.doctor.diagnosis is not None)
    assert dialog.isVisible()


def test_the_bundled_model_is_found_usable(window):
    button = window.panel.similarity.check
    window.press(button)
    window.until(lambda: button.dialog.doctor.diagnosis is not None)
    assert button.dialog.doctor.diagnosis.usable
    assert "can be used here" in button.dialog.headline.text()
