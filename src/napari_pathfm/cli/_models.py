"""``models``: the catalogue, with licence, gate, and what is on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pathfm.cli._options import add_json, show

if TYPE_CHECKING:
    import argparse

    from napari_pathfm.weights import ModelSpec


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("models", help="the encoders and generators there are")
    parser.add_argument("action", nargs="?", choices=["list"], default="list")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the catalogue."""
    from napari_pathfm.encoders import ENCODERS
    from napari_pathfm.generators import GENERATORS

    rows = [_row("encoder", spec) for spec in ENCODERS.values()]
    rows += [_row("generator", spec) for spec in GENERATORS.values()]
    lines = [f"{'kind':<10} {'name':<9} {'licence':<17} {'gated':<6} here"]
    lines += [
        f"{r['kind']:<10} {r['name']:<9} {r['licence']:<17} "
        f"{'yes' if r['gated'] else 'no':<6} {_HERE[r['status']]}"
        for r in rows
    ]
    show(rows, lines, as_json=options.json)


def _row(kind: str, spec: ModelSpec) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": spec.name,
        "title": spec.title,
        "licence": spec.licence,
        "gated": spec.gated,
        "tile_px": spec.tile_px,
        "mpp": spec.mpp,
        "hub_repo": spec.hub_repo,
        "access_page": spec.access_page,
        "citation": spec.citation,
        "notice": spec.notice,
        "status": _status(kind, spec),
    }


def _status(kind: str, spec: ModelSpec) -> str:
    """Tell ``bundled``, ``cached`` or ``absent`` without asking the network."""
    from napari_pathfm.weights import cached_file

    if spec.hub_repo is None:
        return "bundled"
    name = "model.safetensors" if kind == "encoder" else "model_index.json"
    found = cached_file(spec.hub_repo, name, revision=spec.hub_revision)
    return "absent" if found is None else "cached"


_HERE = {
    "bundled": "comes with the plugin",
    "cached": "in the hub's cache",
    "absent": "no: download it, or give --weights DIR",
}
