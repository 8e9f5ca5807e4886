"""The fenced blocks of the documents, and the reasons of those that are not run."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A mark, if there is one, and the fence.
FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^>]+?) -->\n\s*)?"
    r"^```(?P<language>python|sh|bash|console)\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, what it holds, why it is not run (or None)."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> list[list[str]]:
        """Words of each command; a console's output and comments are left out."""
        text = self.text.replace("\\\n", " ")
        lines = text.splitlines()
        if any(line.startswith("$ ") for line in lines):
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        split = (shlex.split(line, comments=True) for line in lines)
        return [words for words in split if words]


def pages() -> list[Path]:
    """Give the README and every page of the guide."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Give the Python and shell blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page.relative_to(ROOT).as_posix(),
            text.count("\n", 0, found.start("language")) + 1,
            found["language"],
            found["text"],
            found["reason"],
        )
        for found in FENCE.finditer(text)
    ]
