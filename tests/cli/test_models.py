"""``models``: the catalogue's rows, and the doctor's exit code and reason."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from napari_pathfm.cli import main
from napari_pathfm.encoders import ENCODERS
from napari_pathfm.generators import GENERATORS

STATUSES = {"bundled", "cached", "partial", "absent", "needs consent"}


def report(capsys):
    return json.loads(capsys.readouterr().out)


def test_the_list_has_every_entry(capsys, fake_hub):
    assert main(["models", "--json"]) == 0
    rows = report(capsys)
    names = [(row["kind"], row["name"]) for row in rows]
    assert names == [
        *(("encoder", name) for name in ENCODERS),
        *(("generator", name) for name in GENERATORS),
    ]
    for row in rows:
        assert row["licence"]
        assert row["status"] in STATUSES
        assert isinstance(row["gated"], bool)
        assert row["tile_px"] > 0
        assert row["access_page"] or not row["gated"]
        assert row["parameters"] or row["kind"] == "generator"
    assert fake_hub.asked == []
    assert main(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(rows) + 1
    (h0_mini,) = [line for line in lines if "h0-mini" in line]
    for word in ("86 M", "CC-BY-NC-ND-4.0", "gated", "absent", "/bioptimus/H0-mini"):
        assert word in h0_mini


def test_the_machine(capsys, fake_hub):
    assert main(["models", "doctor", "--json"]) == 0
    told = report(capsys)
    assert [c["name"] for c in told["machine"]] == [
        "network",
        "token",
        "disk",
        "memory",
        "device",
    ]
    assert len(told["models"]) == len(ENCODERS) + len(GENERATORS)
    assert main(["models", "doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("h0-mini") for line in lines) == 1


def test_a_model_that_is_usable(capsys):
    assert main(["models", "doctor", "bundled", "--kind", "encoder"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "Bundled demonstration encoder can be used here."
    assert main(["models", "doctor", "bundled", "--json"]) == 0
    assert [row["kind"] for row in report(capsys)] == ["encoder", "generator"]


def test_a_model_that_is_not(capsys, tmp_path, fake_hub):
    ask = ["models", "doctor", "h0-mini", "--weights", str(tmp_path)]
    assert main(ask) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("H0-mini cannot be used here yet: the folder lacks files")
    assert "hf download bioptimus/H0-mini" in last
    assert main([*ask, "--json"]) == 1
    (told,) = report(capsys)
    assert told["usable"] is False
    assert told["checks"][0]["cause"] == "missing-file"
    assert fake_hub.asked == []


def test_a_generator_from_a_folder(capsys, cytosyn_folder):
    ask = ["models", "doctor", "cytosyn", "--weights", str(cytosyn_folder)]
    assert main(ask) == 1
    assert "--trust-remote-code" in capsys.readouterr().out.splitlines()[-1]
    assert main([*ask, "--trust-remote-code", "--device", "cpu"]) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["doctor", "resnet"], "h0-mini"),
        (["doctor", "cytosyn", "--kind", "encoder"], "no encoder is called 'cytosyn'"),
        (["list", "h0-mini"], "models doctor h0-mini"),
        (["doctor", "--weights", "x"], "models doctor NAME"),
        (["doctor", "bundled", "--weights", "x"], "--kind"),
    ],
)
def test_what_cannot_be_asked(arguments, says, capsys):
    assert main(["models", *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert says in printed.err


def test_the_endpoint_of_the_environment_is_asked(fake_hub):
    """As a program, from outside: the hub is where HF_ENDPOINT says."""
    command = [sys.executable, "-m", "napari_pathfm.cli", "models", "doctor"]
    command += ["cytosyn", "--json"]
    ended = subprocess.run(
        command, env=fake_hub.environment, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 1
    (told,) = json.loads(ended.stdout)
    failed = [c["cause"] for c in told["checks"] if c["outcome"] == "failed"]
    assert failed == ["no-repository", "no-consent"]
    assert any("Owkin-Bioptimus/CytoSyn" in asked for asked in fake_hub.asked)
    assert ended.stderr == ""
