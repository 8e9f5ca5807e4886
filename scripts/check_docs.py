#!/usr/bin/env python3
"""Check the documents: links lead somewhere, Python blocks compile."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return the anchors that a forge makes of the headings of a page."""
    names = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(text))
    return {name.strip().replace(" ", "-") for name in names}


def problems(page: Path) -> list[str]:
    """Return one line for each thing on a page that does not hold."""
    text = page.read_text(encoding="utf-8")
    found = []
    for language, block in FENCE.findall(text):
        if language == "python":
            try:
                compile(block, str(page), "exec")
            except SyntaxError as error:
                found.append(f"a Python block does not compile: {error}")
    prose = FENCE.sub("", text)
    for match in LINK.finditer(prose):
        target, _, anchor = (match[1] or match[2]).partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        goal = (page.parent / target).resolve() if target else page
        if not goal.exists():
            found.append(f"there is no {target}")
        elif anchor and goal.suffix == ".md":
            other = FENCE.sub("", goal.read_text(encoding="utf-8"))
            if anchor not in anchors(other):
                found.append(f"{goal.name} has no heading #{anchor}")
    return found


def main() -> int:
    """Check README, CHANGELOG and docs/; print what does not hold."""
    pages = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    lines = [f"{p.relative_to(ROOT)}: {line}" for p in pages for line in problems(p)]
    print("\n".join(lines) or f"{len(pages)} documents hold")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
