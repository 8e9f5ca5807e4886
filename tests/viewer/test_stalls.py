"""The window listens while models are imported, loaded, and at work on a real slide."""

from __future__ import annotations

import pytest
from hand import Hand
from heartbeat import Heartbeat

from napari_pathfm.viewer.panel import ModelsPanel

EPIDERMIS = (1220, 1846)

# The aim is 0.1 s. A machine that is busy with something else adds noise of its own, so
# that the test fails only where the work itself has come to the GUI thread.
BOUND_S = 0.5


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


def test_the_window_listens_while_a_real_slide_is_embedded(real_window, capsys):
    window = real_window
    similarity = window.session.similarity
    with Heartbeat() as heart:
        window.press(window.panel.similarity.tool)
        window.until(lambda: not window.panel.runner.busy, timeout_s=200)
    with capsys.disabled():
        print(
            f"\nimporting PyTorch: longest stall {heart.worst * 1000:.0f} ms, "
            f"{heart.over(0.1)} over 100 ms"
        )
    assert heart.worst < BOUND_S

    with Heartbeat() as heart:
        window.click(*EPIDERMIS)
        window.until(lambda: not similarity.job.running, timeout_s=200)
    window.settle()
    assert similarity.layer is not None, window.session.message
    with capsys.disabled():
        print(
            f"embedding {similarity.job.total} tiles: "
            f"longest stall {heart.worst * 1000:.0f} ms, "
            f"{heart.over(0.1)} over 100 ms"
        )
    assert heart.worst < BOUND_S

    with Heartbeat() as heart:
        window.click(EPIDERMIS[0] - 230, EPIDERMIS[1] + 530)
        window.until(lambda: not similarity.job.running)
        window.settle()
    with capsys.disabled():
        print(f"another click: longest stall {heart.worst * 1000:.0f} ms")
    assert heart.worst < BOUND_S
