"""The outcome of one examination, and of all of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from napari_pathfm.weights._causes import Cause, Finding, words

if TYPE_CHECKING:
    from napari_pathfm.weights._spec import ModelSpec

Outcome = Literal["passed", "noted", "failed"]
_MARKS: dict[Outcome, str] = {"passed": "ok  ", "noted": "note", "failed": "FAIL"}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
        What was looked at: ``"network"``, ``"access"``, ``"file"``, ...
    outcome : {"passed", "noted", "failed"}
        ``"noted"`` is worth knowing and stops nobody.
    says : str
        What was found, in one line.
    cause : Cause or None
        Why it did not pass.
    remedy : str
        What to do about it, in one line.
    """

    name: str
    outcome: Outcome
    says: str
    cause: Cause | None = None
    remedy: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What stands between a person and a model, in the order of looking.

    Attributes
    ----------
    model, title : str
        Its names.
    status : str
        ``"bundled"``, ``"cached"``, ``"local"``, ``"partial"``, ``"absent"``,
        ``"needs consent"``.
    access_page : str or None
        Where a person asks for permission.
    checks : tuple of Check
        What was looked at.
    """

    model: str
    title: str
    status: str
    access_page: str | None
    checks: tuple[Check, ...]

    @property
    def usable(self) -> bool:
        """Whether the model can be used here, after a download at the most."""
        return self.reason is None

    @property
    def reason(self) -> Check | None:
        """The first check that failed."""
        return next((c for c in self.checks if c.outcome == "failed"), None)

    def lines(self) -> list[str]:
        """Say it for people: a line for each check, and one for its way out."""
        return [*check_lines(self.checks), self.verdict]

    @property
    def headline(self) -> str:
        """Whether the model can be used, in a short line."""
        if self.reason is not None:
            return f"{self.title} cannot be used here yet"
        fetched = self.status in ("absent", "partial")
        return f"{self.title} can be used here" + (
            " (it will be downloaded)" if fetched else ""
        )

    @property
    def verdict(self) -> str:
        """The whole in one line."""
        if self.reason is None:
            return f"{self.headline}."
        return f"{self.headline}: {one_line(self.reason)}"

    def to_json(self) -> dict[str, Any]:
        """Say it for programs."""
        report = asdict(self)
        return {**report, "checks": list(report["checks"]), "usable": self.usable}


def check_lines(checks: tuple[Check, ...]) -> list[str]:
    """Write checks for people."""
    lines = []
    for check in checks:
        lines.append(f"{_MARKS[check.outcome]}  {check.name:<13} {check.says}")
        if check.remedy:
            lines.append(f"{'':<20}{check.remedy}")
    return lines


def one_line(check: Check) -> str:
    """What was found and what to do."""
    return f"{check.says}: {check.remedy}" if check.remedy else check.says


def passed(name: str, says: str) -> Check:
    """Make a check that found nothing wrong."""
    return Check(name, "passed", says)


def against(
    name: str,
    cause: Cause,
    spec: ModelSpec | None,
    detail: str = "",
    *,
    outcome: Outcome = "failed",
) -> Check:
    """Make a check that found something, with the way out for this model.

    Parameters
    ----------
    name : str
        See `Check`.
    cause : Cause
        What was found.
    spec : ModelSpec or None
        The model that the words are about, if they are about one.
    detail : str
        What was seen, to stand behind the cause's own words.
    outcome : {"failed", "noted"}
        Whether it stops the person.
    """
    found = Finding(cause, detail)
    if spec is None:
        says, remedy = words(found, model="the model", repo="it", page="its page")
    else:
        repo = spec.hub_repo or spec.name
        page = spec.access_page or (
            f"https://huggingface.co/{repo}" if spec.hub_repo else "its makers"
        )
        says, remedy = words(found, model=spec.title, repo=repo, page=page)
    return Check(name, outcome, says, cause, remedy)
