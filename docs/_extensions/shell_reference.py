"""The directive ``shell-reference``: every verb, from the argument parser itself."""

import argparse

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

WIDTH = "88"  # of usage lines; argparse asks the environment


def commands(parser):
    """Give ``(name, parser, help)`` of a parser's verbs, in order, once each."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help for choice in action._choices_actions}
            for name, below in action.choices.items():
                yield name, below, helps.get(name, "")


class ShellReference(SphinxDirective):
    """A section for each verb: what it does, its usage, and a table of its options."""

    def run(self):
        """Make the sections."""
        from napari_pathfm.cli._main import build_parser

        return [
            self.section(name, below, told)
            for name, below, told in commands(build_parser())
        ]

    def section(self, name, parser, told):
        """Make the section of a verb, with those of its own verbs inside."""
        title = parser.prog.removeprefix("napari-pathfm ")
        section = nodes.section(ids=[nodes.make_id(title)], names=[title])
        self.state.document.note_implicit_target(section)
        section += nodes.title(title, title)
        for line in dict.fromkeys(filter(None, (told, parser.description))):
            sentence = line[0].upper() + line[1:]
            section += nodes.paragraph("", sentence.rstrip(".") + ".")
        usage = parser.format_usage().removeprefix("usage: ").rstrip()
        section += nodes.literal_block(usage, usage, language="text")
        inner = list(commands(parser))
        if not inner:
            section += self.table(parser)
        for below in inner:
            section += self.section(*below)
        return section

    def table(self, parser):
        """Tabulate arguments and options."""
        formatter = argparse.HelpFormatter(parser.prog)
        rows = []
        for action in parser._actions:
            if action.help == argparse.SUPPRESS or "--help" in action.option_strings:
                continue
            names = formatter._format_action_invocation(action)
            rows.append((names, formatter._expand_help(action) if action.help else ""))
        group = nodes.tgroup("", cols=2)
        group += [nodes.colspec(colwidth=width) for width in (38, 62)]
        body = nodes.tbody()
        for names, told in rows:
            entry = nodes.entry("", nodes.paragraph("", "", nodes.literal("", names)))
            text = nodes.entry()
            self.state.nested_parse(StringList([told]), self.content_offset, text)
            body += nodes.row("", entry, text)
        group += body
        return nodes.table("", group, classes=["shell-options"])


def setup(app):
    """Tell Sphinx of the directive."""
    import os

    os.environ["COLUMNS"] = WIDTH
    app.add_directive("shell-reference", ShellReference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
