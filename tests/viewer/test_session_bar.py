"""Sessions in the window: buttons, the question after a crash, and closing."""

from __future__ import annotations

import os
import shutil

from conftest import LANDMARK
from napari_pathfm.viewer.panel import ModelsPanel
from napari_pathfm.viewer.session import SUFFIX, read_session


def test_kept_offered_restored_and_forgotten(window, qtbot, models, tmp_path):
    panel, bar = window.panel, window.panel.sessions
    assert not bar.question.isVisible()
    assert bar.save_button.isEnabled()
    window.panel.session.current.prompts.add(LANDMARK[0] + 50, LANDMARK[1] + 50)
    bar.keep()
    kept = bar.autosave.path
    assert read_session(kept)["prompts"]
    # Named by hand: the ending is added, and what is there is not replaced unasked.
    bar.save_to(tmp_path / "mine")
    path = tmp_path / f"mine{SUFFIX}"
    assert read_session(path)["prompts"] == read_session(kept)["prompts"]
    assert "Saved to" in panel.message.text()
    before = path.stat().st_mtime_ns
    bar.save_to(tmp_path / "mine")
    assert path.stat().st_mtime_ns == before
    # Another process had been killed.
    died = kept.with_name(kept.name.replace(str(os.getpid()), "1"))
    shutil.copy(kept, died)
    second = ModelsPanel(window.viewer, models=models, cache=tmp_path / "stores")
    qtbot.addWidget(second)
    second.show()
    assert second.sessions.question.isVisible()
    assert "ended unexpectedly" in second.sessions.question.text.text()
    second.session.current.prompts.clear()
    second.sessions.question.restore.click()
    assert not second.sessions.question.isVisible()
    assert len(second.session.current.prompts.items) == 1
    assert not died.exists()
    second.shut()
    # This window goes on, and forgets only when it is closed.
    bar.keep()
    panel.shut()
    assert not kept.exists()
