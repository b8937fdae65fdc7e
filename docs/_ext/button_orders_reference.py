"""
Sphinx directives for the reference, whose tables are generated from the code.

``.. setting:: NAME`` describes a setting: the code's facts, then the directive's
content. ``reason``, ``check``, ``permission`` and ``metric`` do the same, and each has
a role of that name for links. ``.. from-code:: TABLE [NAME]`` inserts a table, and
``.. state-diagram::`` the drawing of the states.
"""

from __future__ import annotations

from typing import Any

import from_code
import state_diagram
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.std import GenericObject
from sphinx.util.docutils import SphinxDirective


class Described(GenericObject):
    """Something that the code has and the page describes."""

    def transform_content(self, content_node: addnodes.desc_content) -> None:
        """Put the code's facts above the prose."""
        facts = from_code.FACTS[self.objtype](self.names[0])
        lines = "\n".join(from_code.field_list(facts))
        content_node[:0] = self.parse_text_to_nodes(lines)
        self.env.note_reread()


class FromCode(SphinxDirective):
    """Insert a table of ``from_code.TABLES``."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        name, *arguments = self.arguments
        # The code may have changed since the last build.
        self.env.note_reread()
        return self.parse_text_to_nodes("\n".join(from_code.TABLES[name](*arguments)))


class StateDiagram(SphinxDirective):
    """Insert the drawing of the states, and the same in words."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        drawing = nodes.raw("", state_diagram.draw(), format="html")
        words = self.parse_text_to_nodes("\n".join(state_diagram.in_words()))
        return [drawing, *words]


def setup(app: Sphinx) -> dict[str, Any]:
    for kind in from_code.FACTS:
        template = f"pair: %s; {kind}"
        app.add_object_type(kind, kind, template, ref_nodeclass=nodes.literal)
        directive = type(kind, (Described,), {"indextemplate": template})
        app.add_directive_to_domain("std", kind, directive, override=True)
    app.add_directive("from-code", FromCode)
    app.add_directive("state-diagram", StateDiagram)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
