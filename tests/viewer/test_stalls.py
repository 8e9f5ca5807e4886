"""The window listens while models are imported, loaded, and at work on a real slide."""

from __future__ import annotations

import threading

import pytest
from hand import Hand
from heartbeat import Heartbeat

from napari_pathfm.viewer.panel import ModelsPanel

EPIDERMIS = (1220, 1846)


@pytest.fixture
def real_window(make_napari_viewer, cmu_slide_path, open_layer, tmp_path, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    panel = ModelsPanel(viewer, cache=tmp_path / "stores")
    viewer.window.add_dock_widget(panel, name="Pathology models")
    open_layer(viewer, cmu_slide_path)
    hand = Hand(viewer, panel, qtbot)
    yield hand
    panel.shut()
    qtbot.waitUntil(lambda: not panel.runner.busy, timeout=60_000)


@pytest.fixture
def threads(monkeypatch) -> set[int]:
    """Threads that the models worked on."""
    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators._bundled import BundledGenerator

    seen: set[int] = set()
    for model, name in ((Encoder, "encode"), (BundledGenerator, "generate")):
        original = getattr(model, name)

        def watched(self, *args, _original=original, **kwargs):
            seen.add(threading.get_ident())
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(model, name, watched)
    return seen


def test_the_window_listens_while_a_real_slide_is_worked_on(
    real_window, threads, capsys
):
    """No model works on the GUI thread, and the window goes on ticking.

    The stalls are printed (docs/performance.md quotes them); they are not judged here,
    since a machine that is busy with something else adds waiting of its own. Nor are
    the ticks of the first step counted: where an earlier test has imported PyTorch
    there is nothing left to wait for.
    """
    window = real_window
    similarity, synthesis = window.session.similarity, window.session.synthesis

    def say(what: str, heart: Heartbeat) -> None:
        with capsys.disabled():
            print(f"{what}: {heart}")
        assert threading.get_ident() not in threads

    with Heartbeat() as heart:
        window.press(window.panel.similarity.tool)
        window.until(lambda: not window.panel.runner.busy, timeout_s=200)
    say("\nimporting PyTorch", heart)

    with Heartbeat() as heart:
        window.click(*EPIDERMIS)
        window.until(lambda: not similarity.job.running, timeout_s=200)
        window.qtbot.wait(200)
    assert similarity.layer is not None, window.session.message
    say(f"embedding {similarity.job.total} tiles", heart)
    assert len(heart.gaps) > 5, "the window stood still until all was done"

    with Heartbeat() as heart:
        window.click(EPIDERMIS[0] - 230, EPIDERMIS[1] + 530)
        window.until(lambda: not similarity.job.running)
        window.qtbot.wait(200)
    say("another click", heart)

    synthesis.n, synthesis.steps = 1, 5
    with Heartbeat() as heart:
        synthesis.generate()
        window.until(lambda: not synthesis.running, timeout_s=120)
        window.qtbot.wait(200)
    assert synthesis.result is not None, window.session.message
    say("generating", heart)
    assert len(heart.gaps) > 5, "the window stood still until all was done"
    assert threads
