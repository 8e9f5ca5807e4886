"""The house stands as docs/architecture.md says: imports go down, heavy ones wait."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.util import resolve_name
from pathlib import Path
from typing import TYPE_CHECKING

from importlinter.cli import lint_imports

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
PACKAGE = SRC / "napari_pathfm"
HEAVY = {"diffusers", "timm", "torch", "torchvision", "transformers"}


def test_contracts_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    broken = lint_imports(config_filename="pyproject.toml", no_cache=True)
    assert not broken, capsys.readouterr().out


def test_every_room_below_the_viewer_is_kept_from_napari() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = config["tool"]["importlinter"]["contracts"]
    kept = next(c for c in contracts if c["type"] == "forbidden")["source_modules"]
    rooms = {
        f"napari_pathfm.{path.stem}"
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms - {"napari_pathfm.__init__", "napari_pathfm.viewer"} <= set(kept)


def source(module: str) -> Path | None:
    """Return the file of a module of the package, None where there is none."""
    path = SRC.joinpath(*module.split("."))
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.is_file():
            return file
    return None


def is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield what runs when a module is imported: everything outside functions."""
    for node in body:
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and is_type_checking(node.test):
            yield from statements(node.orelse)
            continue
        for field in ("body", "orelse", "finalbody"):
            yield from statements(getattr(node, field, []))
        for part in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
            yield from statements(part.body)


def imported(module: str) -> Iterator[str]:
    """Yield the modules that importing a module of the package imports."""
    file = source(module)
    assert file is not None
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in statements(tree.body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield base
            # `from package import name` may name a module.
            for alias in node.names:
                if source(f"{base}.{alias.name}"):
                    yield f"{base}.{alias.name}"


def heavy_chains(roots: list[str]) -> list[str]:
    """Return the chains of imports from roots to a heavy package."""
    chains = {root: root for root in roots}
    queue = list(roots)
    found = []
    while queue:
        module = queue.pop()
        for name in imported(module):
            top = name.partition(".")[0]
            if top in HEAVY:
                found.append(f"{chains[module]} -> {name}")
            if top != "napari_pathfm":
                continue
            # Importing a.b.c runs a and a.b first.
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                part = ".".join(parts[:end])
                if part not in chains and source(part):
                    chains[part] = f"{chains[module]} -> {part}"
                    queue.append(part)
    return found


def modules_of(room: str) -> list[str]:
    files = sorted((PACKAGE / room).rglob("*.py"))
    names = (file.relative_to(SRC).with_suffix("").parts for file in files)
    return [".".join(p for p in parts if p != "__init__") for parts in names]


def test_start_imports_no_model_library() -> None:
    roots = ["napari_pathfm", *modules_of("viewer"), *modules_of("cli")]
    assert heavy_chains(roots) == []


def test_a_heavy_import_would_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The check has teeth: it follows imports from room to room, and knows which wait.
    package = tmp_path / "napari_pathfm"
    for room in ("viewer", "rooms"):
        (package / room).mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "viewer" / "__init__.py").write_text("from napari_pathfm import rooms")
    (package / "rooms" / "__init__.py").write_text("from ._net import Net")
    net = package / "rooms" / "_net.py"
    monkeypatch.setattr(sys.modules[__name__], "SRC", tmp_path)

    net.write_text("try:\n    from torch import nn\nexcept ImportError:\n    nn = None")
    (chain,) = heavy_chains(["napari_pathfm.viewer"])
    assert chain.split(" -> ")[1:] == [
        "napari_pathfm.rooms",
        "napari_pathfm.rooms._net",
        "torch",
    ]
    net.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import torch\n"
        "def net():\n    import torch\n"
    )
    assert heavy_chains(["napari_pathfm.viewer"]) == []
