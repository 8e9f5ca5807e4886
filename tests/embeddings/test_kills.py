"""Runs killed at random moments, a few of those that benchmarks/kills.py tries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).resolve().parents[2] / "benchmarks" / "kills.py"


@pytest.mark.skipif(
    sys.platform != "linux", reason="it forks a process with threads, as Linux allows"
)
def test_killed_runs_end_in_the_store_of_an_uninterrupted_one():
    done = subprocess.run(
        [sys.executable, str(KILLS), "5"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("5 kills")
    assert done.stdout.rstrip().endswith("0 differ")
