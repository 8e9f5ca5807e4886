"""The virtual slide in a session file: no pixels, but all that they follow from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from napari_pathfm.viewer.session._sections import number
from napari_pathfm.viewer.session._virtual_work import Kept

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._session_file import Bulk


class VirtualSection:
    """Seed, settings and provenance of the virtual slide on the canvas.

    The same weights, embeddings and settings give the same pixels; chunks that were
    made on this machine are still in its cache.
    """

    name = "virtual"

    def write(self, session: Session, bulk: Bulk) -> Any:
        """Give what makes it again."""
        kept = session.virtual.kept
        if kept is None:
            return None
        return {
            "settings": dict(kept.settings),
            "provenance": kept.provenance.to_dict(),
            "paused": kept.paused,
            "shown": dict(kept.shown),
        }

    def read(self, session: Session, data: Any, bulk: Bulk) -> Iterable[str]:
        """Have it laid out again, in a worker; what that meets is told by itself."""
        from napari_pathfm.generators import Provenance

        told = Provenance.from_json(json.dumps(data["provenance"]))
        shown = data["shown"]
        kept = Kept(
            _settings(**data["settings"]),
            told,
            bool(data["paused"]),
            {
                "name": str(shown["name"])[:200],
                "visible": bool(shown["visible"]),
                "opacity": number(shown["opacity"], 0, 1),
            },
        )
        if told.action != "virtual" or not isinstance(told.details, dict):
            raise ValueError("it is no virtual slide")
        session.virtual.bring_back(kept)
        return ()


def _settings(
    *, seed: Any, steps: Any, guidance: Any, sampler: Any, preset: Any
) -> dict[str, Any]:
    """Take settings as what they must be; which of them make sense is asked later."""
    if not isinstance(seed, int) or not isinstance(steps, int | None):
        raise TypeError("its counts are no whole numbers")
    if not isinstance(sampler, str | None) or not isinstance(preset, str | None):
        raise TypeError("its choices are no texts")
    return {
        "seed": number(seed, 0, 2**63 - 1),
        "steps": None if steps is None else number(steps, 1, 1000),
        "guidance": None if guidance is None else number(guidance, 0, 100),
        "sampler": sampler,
        "preset": preset,
    }
