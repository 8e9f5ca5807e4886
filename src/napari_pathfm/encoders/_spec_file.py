"""An encoder that a person describes in a file, TOML or JSON.

Nothing in such a file is run: its values are numbers, words and lists of them, and
every key is known. `docs/adding-an-encoder.md` explains them.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.encoders._spec import POOLINGS, EncoderSpec
from napari_pathfm.encoders._spec_values import Values
from napari_pathfm.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Collection

#: How such a file's name ends.
SUFFIXES = (".toml", ".json")

# A name becomes part of a store's name.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
_MOST_BYTES = 1 << 16
_LARGEST, _DEEPEST = 1 << 14, 1 << 8

# What may be said of the construction, and what kind of value it has.
_ARGUMENTS = {
    "patch_size": int,
    "embed_dim": int,
    "depth": int,
    "num_heads": int,
    "reg_tokens": int,
    "mlp_ratio": float,
    "init_values": float,
    "swiglu": bool,
    "projected": bool,
    "qkv_bias": bool,
    "qk_norm": bool,
    "pre_norm": bool,
    "no_embed_class": bool,
}
# Without an architecture of timm's these make the network, and nothing may be guessed.
_NEEDED = ("patch_size", "embed_dim", "depth", "num_heads")

# What decides the features: a store made under another value of these is another one.
_DECISIVE = (
    "architecture",
    "arguments",
    "position_px",
    "ignore",
    "layout",
    "mean",
    "std",
    "tile_px",
    "mpp",
    "patch_px",
    "dim",
    "prefix_tokens",
)


def read_encoder_spec(path: str | Path, *, taken: Collection[str] = ()) -> EncoderSpec:
    """Read an encoder's description.

    Parameters
    ----------
    path : path
        A file of TOML (``.toml``) or JSON (``.json``).
    taken : collection of str
        Names that others have.

    Returns
    -------
    EncoderSpec
        With ``source`` and ``digest``.

    Raises
    ------
    SpecError
        In one line that names the file and the key.
    """
    path = Path(path).expanduser()
    values = Values(_parsed(path), str(path))
    name = values.text("name")
    if _NAME.fullmatch(name) is None:
        values.refuse("name", "use a-z, 0-9, - and _, at most 48 of them")
    if name in taken:
        values.refuse("name", f"{name!r} is taken: choose another")
    tile_px = values.whole("tile_px", most=_LARGEST)
    read = {
        **_construction(values),
        "name": name,
        "title": values.text("title", name),
        "tile_px": tile_px,
        "mpp": values.number("mpp", above=0),
        "mean": values.three("mean"),
        "std": values.three("std", above=0),
        "parameters": values.whole("parameters", None),
        "position_px": values.whole("position_px", None, most=_LARGEST),
        "pooling": values.one_of("pooling", POOLINGS, "cls"),
        "ignore": values.texts("ignore", ()),
        "licence": values.text("licence", "not stated"),
        "citation": values.text("citation", ""),
        "notice": values.text("notice", ""),
        **_origin(values, path),
    }
    values.no_more()
    for key in ("tile_px", "position_px"):
        if read[key] is not None and read[key] % read["patch_px"]:
            values.refuse(
                key,
                f"{read[key]} is no multiple of {read['patch_px']}, the patch's side",
            )
    return EncoderSpec(**read, source=path, digest=_digest(read))


def _parsed(path: Path) -> dict[str, Any]:
    if path.suffix not in SUFFIXES:
        raise SpecError(f"{path} is neither .toml nor .json")
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise SpecError(f"{path} is too large for an encoder's description")
        text = content.decode("utf-8")
        told = tomllib.loads(text) if path.suffix == ".toml" else _json(text)
    except FileNotFoundError:
        raise SpecError(f"{path} does not exist") from None
    except OSError as error:
        raise SpecError(f"{path} cannot be read ({error.strerror})") from error
    # Both parsers raise kinds of ValueError, and a RecursionError for deep nesting.
    except (ValueError, RecursionError) as error:
        reason = str(error)
        if not reason.isprintable():
            reason = ascii(reason)
        kind = path.suffix[1:].upper()
        raise SpecError(f"{path} is no valid {kind}: {reason[:200]}") from None
    if not isinstance(told, dict):
        raise SpecError(f"{path} holds no table of keys and values")
    return told


def _json(text: str) -> Any:
    """Parse JSON as strictly as TOML is: no key twice, no NaN."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        told = dict(pairs)
        if len(told) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in told if keys.count(key) > 1)
            raise ValueError(f"{twice[:60]!r} stands there twice")
        return told

    def never(constant: str) -> Any:
        raise ValueError(f"{constant} is no number of JSON's")

    return json.loads(text, object_pairs_hook=once, parse_constant=never)


def _construction(values: Values) -> dict[str, Any]:
    """Read what the network is built from, and what follows from it."""
    architecture = values.text("architecture", None)
    inner = values.table("arguments")
    arguments: dict[str, Any] = {}
    for key, kind in _ARGUMENTS.items():
        if key not in inner.told:
            continue
        if kind is bool:
            arguments[key] = inner.truth(key)
        elif kind is int:
            least = 0 if key == "reg_tokens" else 1
            most = _DEEPEST if key == "depth" else _LARGEST
            arguments[key] = inner.whole(key, least=least, most=most)
        else:
            arguments[key] = inner.number(key, above=0)
    inner.no_more(known=_ARGUMENTS)
    layout = values.one_of("layout", ("timm", "transformers"), "timm")
    derived: dict[str, int | None] = dict.fromkeys(("patch_px", "dim", "prefix_tokens"))
    if architecture is None:
        for key in _NEEDED:
            if key not in arguments:
                inner.refuse(key, "is missing, and so is `architecture`")
        if arguments["embed_dim"] % arguments["num_heads"]:
            inner.refuse("num_heads", f"{arguments['embed_dim']} is no multiple of it")
        derived["patch_px"] = arguments["patch_size"]
        derived["dim"] = arguments["embed_dim"]
        derived["prefix_tokens"] = 1 + arguments.get("reg_tokens", 0)
    stated = {}
    for key, follows in derived.items():
        stated[key] = values.whole(key, follows, most=_LARGEST)
        if stated[key] is None:
            values.refuse(key, "is missing: with `architecture` it has to be said")
        if follows is not None and stated[key] != follows:
            values.refuse(key, f"{stated[key]}, but by `arguments` it is {follows}")
    return {
        "architecture": architecture,
        "arguments": arguments,
        "layout": layout,
        **stated,
    }


def _origin(values: Values, path: Path) -> dict[str, Any]:
    """Read where the weights are."""
    weights = values.text("weights", None)
    repo = values.text("hub_repo", None)
    if repo is not None and not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        values.refuse("hub_repo", f"{repo!r} is not OWNER/NAME")
    names = values.texts("weight_files", ("model.safetensors", "pytorch_model.bin"))
    for name in names:
        if name != Path(name).name or "\\" in name:
            values.refuse("weight_files", f"{name!r} is no plain file name")
    if not names:
        values.refuse("weight_files", "names no file")
    return {
        # Beside the file, unless it says otherwise.
        "local_weights": (
            None if weights is None else path.parent / Path(weights).expanduser()
        ),
        "hub_repo": repo,
        "hub_revision": values.text("hub_revision", None),
        "access_page": None if repo is None else f"https://huggingface.co/{repo}",
        "gated": values.truth("gated", default=False),
        "weight_files": names,
    }


def _digest(read: dict[str, Any]) -> str:
    decisive = {key: read[key] for key in _DECISIVE}
    told = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()[:12]
