"""HTML as the tests read it."""

import base64
import html
import io
import re
from html.parser import HTMLParser
from itertools import pairwise

from PIL import Image

VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Tags, attributes and text; checks that every tag is closed in its place."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.elements = []  # (tag, its attributes)
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.elements.append((tag, dict(attrs)))
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += "" if self.open[-1:] == ["style"] else data

    def values(self, name):
        return [value for _, attribute, value in self.attributes if attribute == name]

    def images(self):
        """The images that it holds, as (alternative text, PIL image)."""
        texts, sources = self.values("alt"), self.values("src")
        held = [base64.b64decode(source.partition(";base64,")[2]) for source in sources]
        return [(t, Image.open(io.BytesIO(h))) for t, h in zip(texts, held, strict=True)]


def commands(text):
    """What stands in a page to be typed."""
    return [html.unescape(found) for found in re.findall(r"<pre[^>]*>(.*?)</pre>", text, re.DOTALL)]


def check_alone(text):
    """The page needs nothing from elsewhere, and runs nothing."""
    page = Page(text)
    for name in ("src", "xlink:href", "action", "srcset", "data", "poster"):
        assert all(value.startswith("data:") for value in page.values(name)), name
    assert not re.search(r"(https?|file|ftp):|@import|url\((?!#)", text)
    assert not {"script", "iframe", "object", "embed", "form"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    links = [attributes["href"] for tag, attributes in page.elements if tag in ("a", "link")]
    assert not [link for link in links if link.startswith(("/", "javascript:"))]


def check_accessible(text):
    """Every picture is told in words and has a caption, every table too, with scoped headers."""
    page = Page(text)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        if tag == "html":
            assert attributes["lang"]
        if tag == "img":
            assert attributes["alt"].strip()
            assert int(attributes["width"]) > 0 < int(attributes["height"])
        if tag == "svg":
            assert attributes["role"] == "img"
            assert len(attributes["aria-label"]) > 10
        if tag == "th":
            assert attributes["scope"] in ("row", "col", "rowgroup")
        if "tabindex" in attributes:
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]
    assert page.tags.count("main") == page.tags.count("h1") == 1
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for outer, inner in (("figure", "figcaption"), ("table", "caption")):
        found = re.findall(rf"<{outer}\b.*?</{outer}>", text, re.DOTALL)
        assert len(found) == page.tags.count(outer)
        for part in found:
            said = re.search(rf"<{inner}>(.+?)</{inner}>", part, re.DOTALL)
            assert re.sub("<[^>]*>", "", said[1]).strip()
