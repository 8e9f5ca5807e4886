"""The directive ``room``: every public name of a room, constants and lazy names too.

``automodule`` leaves out constants that a room only gathers, and names that it loads
when they are first asked for. They are added here, with the comments that document
them (``#:``) where they are defined.
"""

import ast
import inspect
from importlib import import_module
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

LONGEST_VALUE = 60


def origins(module):
    """Map each name that a room imports to the module that defines it."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    return {
        one.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for one in node.names
    }


class Room(SphinxDirective):
    """``.. room:: napari_pathfm.slides``."""

    required_arguments = 1

    def run(self):
        """Write the directives of autodoc and let them be parsed."""
        name = self.arguments[0]
        module = import_module(name)
        lazy = set(getattr(module, "__all__", ())) - set(dir(module))
        lines = [f".. automodule:: {name}", ""]
        for public in getattr(module, "__all__", ()):
            value = getattr(module, public)
            if inspect.isclass(value):
                if public in lazy:
                    lines += [
                        f".. autoclass:: {name}.{public}",
                        "   :no-inherited-members:",
                        "",
                    ]
            elif not inspect.isfunction(value):
                lines += self.constant(module, public, value)
        made = nodes.section()
        made.document = self.state.document
        self.state.nested_parse(StringList(lines, name), 0, made)
        return made.children

    def constant(self, module, public, value):
        """Give the entry of a constant, or of a name for a type."""
        defined = origins(module).get(public, module.__name__)
        analyzer = ModuleAnalyzer.for_module(defined)
        analyzer.analyze()
        shown = " ".join(repr(value).split())
        lines = [f".. py:data:: {public}", f"   :module: {module.__name__}"]
        if len(shown) <= LONGEST_VALUE:
            lines.append(f"   :value: {shown}")
        told = analyzer.attr_docs.get(("", public), [])
        return [*lines, "", *(f"   {line}" for line in told), ""]


def setup(app):
    """Tell Sphinx of the directive."""
    app.add_directive("room", Room)
    return {"parallel_read_safe": True}
