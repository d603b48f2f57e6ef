"""Pure: plain text → what Jira shows. An Atlassian document for Cloud, defused wiki text for Data Center."""

import re
from typing import Any

from core.platform.text import cut, printable, web_link

#: Jira takes 32,767 characters; the rest is for the reference
TEXT_CHARS = 32_000
LINK_WORDS = "Open in FootprintIQ"


def document(text: str, url: str | None, key: str) -> dict[str, Any]:
    """A paragraph per block of lines, then the reference. Text nodes only: nothing in `text` is markup."""
    blocks = re.split(r"\n\s*\n", _clean(text))
    paragraphs = [_paragraph(_lines(block)) for block in blocks if block.strip()]
    return {"type": "doc", "version": 1, "content": [*paragraphs, _paragraph(_reference(url, key))]}


def wiki(text: str, url: str | None, key: str) -> str:
    """The same as wiki text: macros, links, mentions and images in `text` stay letters."""
    link = web_link(url)
    # ] would end the link and | its words
    reference = f"[{LINK_WORDS}|{link.replace(']', '%5D').replace('|', '%7C')}]\n{key}" if link else key
    return f"{_defused(_clean(text))}\n\n{reference}".lstrip()


def _clean(text: str) -> str:
    return cut(printable(text), TEXT_CHARS)


def _defused(text: str) -> str:
    # \ first, as an entity: of "\{" two characters would become "\\" (a line break) and a live "{"
    return re.sub(r"([{\[!])", r"\\\1", text.replace("\\", "&#92;"))


def _lines(block: str) -> list[dict[str, Any]]:
    """Jira refuses empty text nodes, so a line without anything is left out."""
    nodes: list[dict[str, Any]] = []
    for line in filter(str.strip, block.split("\n")):
        nodes += ([{"type": "hardBreak"}] if nodes else []) + [_text(line.strip())]
    return nodes


def _reference(url: str | None, key: str) -> list[dict[str, Any]]:
    link = web_link(url)
    if not link:
        return [_text(key)]
    marks = [{"type": "link", "attrs": {"href": link}}]
    return [_text(LINK_WORDS) | {"marks": marks}, {"type": "hardBreak"}, _text(key)]


def _text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def _paragraph(content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "paragraph", "content": content}
