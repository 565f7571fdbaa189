"""Docstrings as pyaug writes them: names as readers import them, prose that is no markup."""

import inspect
import re
from collections.abc import Container

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.typing import ExtensionMetadata


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.reference | None:
    """Find ``InputError``, ``pyaug.Policy`` or ``augment.Augment`` where it is documented."""
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    name = node["reftarget"].rpartition(".")[2]
    known = [full for full in domain.objects if full.rpartition(".")[2] == name]
    known = [full for full in known if domain.objects[full].objtype in ("class", "exception")]
    if len(known) != 1:
        return None
    place = env, node["refdoc"], app.builder
    return domain.resolve_xref(*place, node["reftype"], known[0], node, text)


_BAR = re.compile(r"\|(?=[^`]*(?:`[^`]*`[^`]*)*$)")  # outside backticks


def with_fields(lines: list[str], fields: Container[str]) -> list[str]:
    """Put paragraphs of ``field: what it is`` under a heading that Napoleon knows."""
    made, within = [], False
    for line in lines:
        name, colon, _ = line.partition(": ")
        if colon and name in fields and not within:
            made.append("Attributes:")
            within = True
        within = within and bool(line)
        made.append(f"    {line}" if within else line)
    return made


class AsWritten:
    """Keeps Napoleon from reading ``Seeds: as many as …`` below an attribute as its type."""

    KINDS = ("attribute", "data", "property")

    def __init__(self) -> None:
        self.lines: list[str] = []

    def keep(self, app: Sphinx, what: str, name: str, obj, options, lines: list[str]) -> None:
        """Before Napoleon, who is told which paragraphs of a class are of its fields."""
        self.lines = list(lines)
        if what == "class":
            lines[:] = with_fields(lines, getattr(obj, "__annotations__", {}))

    def restore(self, app: Sphinx, what: str, name: str, obj, options, lines: list[str]) -> None:
        """After it; and a bar is a bar, `|x|`, as nothing is substituted."""
        if what in self.KINDS:
            lines[:] = self.lines
        lines[:] = [_BAR.sub(r"\\|", line) for line in lines]


def skipped(app: Sphinx, what: str, name: str, obj, skip: bool, options) -> bool | None:
    """Leave out what Python itself says of a NamedTuple's fields."""
    return True if (inspect.getdoc(obj) or "").startswith("Alias for field") else None


def readable(app: Sphinx, what: str, name: str, obj, options, signature, returned):
    """A ``Config`` without its arguments, which stand below it; defaults that can be parsed."""
    if what == "class" and name.endswith(".Config"):
        return "", None
    return signature and signature.replace("<factory>", "..."), returned


def setup(app: Sphinx) -> ExtensionMetadata:
    """Listen; Napoleon has Sphinx's usual priority of 500."""
    as_written = AsWritten()
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", as_written.keep, priority=400)
    app.connect("autodoc-process-docstring", as_written.restore, priority=600)
    app.connect("autodoc-process-signature", readable)
    app.connect("autodoc-skip-member", skipped)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
