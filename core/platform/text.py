"""Pure: cleaning and cutting text for vendors.

Lengths are counted in UTF-16 units, as Java and JavaScript count them: an emoji is two. Where a vendor
counts characters instead, the text is a little shorter than it might be, never too long.
"""

import re
import unicodedata

_BROKEN = re.compile("[\x00\ud800-\udfff]")
_BREAK = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_LINK = re.compile(r"https?://[^\s/]\S*", re.IGNORECASE)


def cut(text: str, limit: int) -> str:
    """At most `limit` UTF-16 units, a cut marked with …"""
    if len(text) * 2 <= limit or _units(text) <= limit:
        return text
    kept = text.encode("utf-16-le")[: (limit - 1) * 2]
    return kept.decode("utf-16-le", errors="ignore") + "…"


def cut_bytes(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, a cut marked with …"""
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= limit else raw[: max(0, limit - 3)].decode(errors="ignore") + "…"


def cut_to_link(text: str, limit: int, url: object) -> str:
    """As `cut`, but what is cut ends with the address of the whole, where that leaves half the room."""
    link = web_link(url)
    if not link or _units(text) <= limit or _units(link) > limit // 2:
        return cut(text, limit)
    return f"{cut(text, limit - _units(link) - 1)}\n{link}"


def mended(text: str) -> str:
    """With U+FFFD for each NUL and lone surrogate: PostgreSQL and UTF-8 refuse them."""
    return _BROKEN.sub("\ufffd", text)


def printable(text: str) -> str:
    """Without control characters but newline and tab: NUL and its like make vendors refuse the whole body."""
    lines = _BREAK.sub("\n", text)
    return "".join(c for c in lines if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))


def one_line(text: str, limit: int) -> str:
    """Every kind of line break and run of spaces becomes one space."""
    return cut(printable(" ".join(text.split())), limit)


def web_link(url: object) -> str | None:
    """The link if it leads to the web; `javascript:` and its like are None."""
    return url if isinstance(url, str) and _LINK.fullmatch(url) else None


def is_web_page(text: str) -> bool:
    """Whether an answer is HTML: a sign-in page, a proxy's error page, the wrong port."""
    return text.lstrip("\ufeff \t\r\n")[:15].lower().startswith(("<!doctype", "<html", "<head", "<body"))


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def natural(name: str) -> list[str | int]:
    """A key that sorts as people do, "Jira 2" before "Jira 10", and without regard to case."""
    parts = re.split(r"(\d{1,18})", name.lower(), flags=re.ASCII)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]
