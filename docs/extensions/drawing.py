"""``{drawing} NAME``: a figure of docs/images within the page, so that it takes the page's colours.

The content is its caption; ``alt`` says what is to be seen.
"""

import re
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata


class Drawing(SphinxDirective):
    """SVG or HTML from a file, and a caption below."""

    required_arguments = 1
    has_content = True
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012  docutils' own form

    def run(self) -> list[nodes.Node]:
        """The figure's nodes."""
        _, path = self.env.relfn2path(f"/images/{self.arguments[0]}")
        self.env.note_dependency(path)
        drawn = Path(path).read_text(encoding="utf-8")
        said = f'role="img" aria-label="{escape(self.options["alt"])}"'
        drawn = re.sub('role="img"( aria-label="[^"]*")?', said, drawn, count=1)
        caption = nodes.container(classes=["caption"])
        self.state.nested_parse(self.content, self.content_offset, caption)
        return [
            nodes.container("", nodes.raw("", drawn, format="html"), caption, classes=["drawing"])
        ]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Offer the directive."""
    app.add_directive("drawing", Drawing)
    return {"parallel_read_safe": True}
