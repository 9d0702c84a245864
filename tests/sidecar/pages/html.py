"""What stands on a page, as its reader has it: text, links, tables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import quote

from tests.servers.sidecar import Sidecar
from tests.sidecar.conftest import ask

_VOID = {"meta", "link", "input", "br", "img"}
_UNSPOKEN = {"script", "style"}


@dataclass(slots=True)
class Element:
    """An element with what is in it."""

    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its text on one line."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> list[str]:
        texts = []
        for child in self.children:
            texts += [child] if isinstance(child, str) else child._texts()  # noqa: SLF001  of the same class
        return [" ", *texts, " "] if self.tag not in {"bdi", "span", "a", "strong", "code", "time"} else texts

    def all(self, tag: str) -> list[Element]:
        """Return the elements ``tag`` below it, in their order."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                found += [child] if child.tag == tag else []
                found += child.all(tag)
        return found

    def holders(self, text: str) -> list[str]:
        """Return the tag of each element that has ``text`` itself, in none of the elements below it."""
        own = [self.tag for child in self.children if isinstance(child, str) and text in child]
        return own + [tag for child in self.children if isinstance(child, Element) for tag in child.holders(text)]

    def rows(self) -> list[list[str]]:
        """Return the text of each row of its table."""
        return [
            [cell.text for cell in row.children if isinstance(cell, Element)]
            for body in self.all("tbody")
            for row in body.all("tr")
        ]

    def links(self) -> dict[str, str]:
        """Return text → address."""
        return {link.text: link.attributes.get("href", "") for link in self.all("a")}

    def section(self, heading: str) -> Element:
        """Return what stands below the heading ``heading``, up to the next one of its level."""
        main = self.all("main")[0]
        found = [
            index
            for index, child in enumerate(main.children)
            if isinstance(child, Element) and child.tag == "h2" and child.text == heading
        ]
        assert found, f"no heading {heading!r} in: {[h.text for h in main.all('h2')]}"
        rest = main.children[found[0] + 1 :]
        end = next((i for i, child in enumerate(rest) if isinstance(child, Element) and child.tag == "h2"), len(rest))
        return Element("section", {}, rest[:end])


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("root", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open[-1].tag not in _UNSPOKEN:
            self._open[-1].children.append(data)


def read(text: str) -> Element:
    """Return the document; every element that needs it has to be closed, and in order."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader._open == [reader.root], "elements are left open"  # noqa: SLF001  the class is this module's
    return reader.root


def visit(running: Sidecar, path: str, status: int = 200) -> Element:
    """Return the page at ``path``."""
    reply = ask(running.url, path)
    assert reply.status == status, reply.text
    assert re.match(r"text/html\b", reply.headers["content-type"])
    return read(reply.text)


def quoted(text: str) -> str:
    return quote(text, safe="")
