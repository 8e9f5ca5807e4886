"""``models``: the catalogue, and what stands between a person and a model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from napari_pathfm.cli._options import (
    add_device,
    add_json,
    add_weights,
    show,
    weights_of,
)
from napari_pathfm.errors import PathfmError, UnknownModelError

if TYPE_CHECKING:
    import argparse

    from napari_pathfm.weights import ModelSpec

_KINDS = ("encoder", "generator")


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "models",
        help="the encoders and generators there are; why one cannot be used",
        description="list: every model with licence, gate and what is on this machine. "
        "doctor: whether this machine, or the model NAME, can be used, and what to do "
        "if not (exit code 1). Nothing is downloaded.",
    )
    parser.add_argument("action", nargs="?", choices=["list", "doctor"], default="list")
    parser.add_argument("name", nargs="?", metavar="NAME", help="doctor: of which")
    parser.add_argument(
        "--kind", choices=_KINDS, help="doctor: which, where both have the name"
    )
    add_weights(parser, "model")
    add_device(parser)
    parser.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="doctor: you agree to run the code that the model's repository brings",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the catalogue, or what is wrong."""
    if options.action == "doctor" and options.name is not None:
        return _one(options)
    if options.name is not None:
        raise PathfmError(f"list takes no name: try models doctor {options.name}")
    if options.action == "doctor":
        return _machine(options)
    rows = [_row(kind, spec) for kind, spec in _catalogue()]
    show(rows, _table(rows), as_json=options.json)
    return 0


def _one(options: argparse.Namespace) -> int:
    """Examine the model of a name; an encoder and a generator may share it."""
    from napari_pathfm.weights import diagnose

    found = _named(options.name, options.kind)
    if len(found) > 1 and options.weights is not None:
        raise PathfmError(
            f"an encoder and a generator are called {options.name!r}: "
            "say whose the weights are with --kind"
        )
    reports, lines = [], []
    for kind, spec in found:
        diagnosis = diagnose(
            spec,
            weights=weights_of(spec, options.weights),
            device=options.device,
            trust_remote_code=options.trust_remote_code,
        )
        reports.append({"kind": kind, **diagnosis.to_json()})
        lines += [f"{spec.title} ({kind})", *diagnosis.lines(), ""]
    show(reports, lines[:-1], as_json=options.json)
    return 0 if all(report["usable"] for report in reports) else 1


def _machine(options: argparse.Namespace) -> int:
    """Examine the machine, and say of each model whether it is here."""
    from dataclasses import asdict

    from napari_pathfm.weights import check_lines, diagnose_machine

    if options.weights is not None:
        raise PathfmError("--weights needs the model's name: models doctor NAME")
    checks = diagnose_machine(options.device)
    rows = [_row(kind, spec) for kind, spec in _catalogue()]
    lines = [*check_lines(checks), ""]
    lines += [f"{r['name']:<14} {r['kind']:<10} {_here(r)}" for r in rows]
    report = {"machine": [asdict(check) for check in checks], "models": rows}
    show(report, lines, as_json=options.json)
    return 1 if any(check.outcome == "failed" for check in checks) else 0


def _catalogue() -> list[tuple[str, ModelSpec]]:
    """Give every model; what cannot be read of a person's own is said on stderr."""
    from napari_pathfm.encoders import known_encoders
    from napari_pathfm.generators import known_generators

    encoders, refused = known_encoders()
    generators, refused_too = known_generators()
    for error in (*refused.values(), *refused_too.values()):
        print(f"napari-pathfm: left out: {error}", file=sys.stderr)
    found: list[tuple[str, ModelSpec]] = [("encoder", s) for s in encoders.values()]
    return found + [("generator", s) for s in generators.values()]


def _named(name: str, kind: str | None) -> list[tuple[str, ModelSpec]]:
    """Look a name up among both kinds.

    Raises
    ------
    UnknownModelError
        Naming the models there are.
    """
    from napari_pathfm.encoders import encoder_spec
    from napari_pathfm.generators import generator_spec

    found: list[tuple[str, ModelSpec]] = []
    for one, look_up in zip(_KINDS, (encoder_spec, generator_spec), strict=True):
        if kind in (None, one):
            try:
                found.append((one, look_up(name)))
            except UnknownModelError:
                continue
    if not found:
        names = dict.fromkeys(s.name for k, s in _catalogue() if kind in (None, k))
        raise UnknownModelError(
            f"no {kind or 'model'} is called {name!r}: choose one of {', '.join(names)}"
        )
    return found


def _row(kind: str, spec: ModelSpec) -> dict[str, Any]:
    from napari_pathfm.weights import model_status

    return {
        "kind": kind,
        "name": spec.name,
        "title": spec.title,
        "licence": spec.licence,
        "gated": spec.gated,
        "parameters": getattr(spec, "parameters", None),
        "tile_px": spec.tile_px,
        "mpp": spec.mpp,
        "hub_repo": spec.hub_repo,
        "hub_revision": spec.hub_revision,
        "access_page": spec.access_page,
        "spec_file": str(source) if (source := getattr(spec, "source", None)) else None,
        "remote_code": bool(getattr(spec, "remote_code", False)),
        "citation": spec.citation,
        "notice": spec.notice,
        "status": model_status(spec),
    }


def _table(rows: list[dict[str, Any]]) -> list[str]:
    cells = [("kind", "name", "size", "tile", "licence", "gate", "here", "access")]
    for row in rows:
        count = row["parameters"]
        cells.append(
            (
                row["kind"],
                row["name"],
                f"{count / 1e6:,.0f} M" if count else "",
                f"{row['tile_px']} px @ {row['mpp']:g}",
                row["licence"],
                "gated" if row["gated"] else "open",
                row["status"],
                row["access_page"] or "",
            )
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def _here(row: dict[str, Any]) -> str:
    told = _HERE[row["status"]]
    if row["status"] in ("absent", "partial") and row["gated"]:
        return f"{told}; gated: {row['access_page']}"
    return told


_HERE = {
    "bundled": "comes with the plugin",
    "local": "where its spec file says",
    "cached": "in the hub's cache",
    "partial": "downloaded in part: use it once online to finish",
    "absent": "not here: use it once online, or give --weights DIR",
    "needs consent": "in the hub's cache; brings code that you have to agree to",
}
