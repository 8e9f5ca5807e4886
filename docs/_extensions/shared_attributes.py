"""``width, height : int`` among a docstring's Attributes is an entry for each name.

Napoleon knows this form for parameters alone.
"""

import re

NAMES = re.compile(r"(\w+(?:, \w+)+) : (.*)")


def split(app, what, name, obj, options, lines):
    """Rewrite the lines of a docstring in place."""
    told, inside, rest = [], False, list(lines)
    while rest:
        line = rest.pop(0)
        if rest and re.fullmatch("-{3,}", rest[0]):
            inside = line == "Attributes"
        found = NAMES.fullmatch(line) if inside else None
        if not found:
            told.append(line)
            continue
        below = []
        while rest and (not rest[0] or rest[0].startswith(" ")):
            below.append(rest.pop(0))
        for one in found[1].split(", "):
            told += [f"{one} : {found[2]}", *below]
    lines[:] = told


def setup(app):
    """Look at docstrings before napoleon does."""
    app.connect("autodoc-process-docstring", split, priority=100)
    return {"parallel_read_safe": True}
