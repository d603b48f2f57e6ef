"""Pure: plain text → what ServiceNow shows; nothing in it becomes markup or leaves out the link."""

import re

from core.platform.text import cut, one_line, printable, web_link

SHORT_CHARS = 160  # short_description of the table Task
TEXT_CHARS = 4000  # description; what is longer is cut there without a word
#: [code] makes ServiceNow render what follows as HTML (glide.ui.security.allow_codetag, on by default);
#: a description may be copied into the journal by the customer's own rules
_CODE = re.compile(r"\[(?=\s*/?\s*code)", re.IGNORECASE)


def short_description(text: str) -> str:
    # cleaned before it is defused: a character that is taken out must not join what was kept apart
    return cut(_inert(one_line(text, SHORT_CHARS * 4)), SHORT_CHARS)


def description(text: str, url: object, key: str) -> str:
    """The text, cut with a mark, then the link and the key, which are never cut."""
    link = web_link(url)
    tail = f"{link}\n{key}" if link and len(link) <= TEXT_CHARS // 2 else key
    # a link may hold characters of two units
    room = TEXT_CHARS - len(tail.encode("utf-16-le")) // 2 - 2
    return f"{cut(_inert(printable(text)), room)}\n\n{tail}".lstrip()


def _inert(text: str) -> str:
    return _CODE.sub("[\u200b", text)
