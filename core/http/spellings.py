"""Finds a text in another one in every spelling in which a vendor may echo it: escaped for a URL, for JSON (nested,
too) or for HTML, each character in its own way.

In time that grows with the text alone. A regular expression of all spellings reads `%25` as an escaped `%` or as three
characters, one after the other, and for a hundred of them it tries every combination. Here all readings go on side by
side: bit n of a number says that the first n characters have been read (Baeza-Yates and Gonnet, "A new approach to
text searching", 1992).
"""

import html
import re
from collections.abc import Iterator

#: the longest spelling of one character: `&#00000000047;`
LONGEST = 16
_IN_URL = re.compile(r"(?:%[0-9a-fA-F]{2}){1,4}")
_IN_HTML = re.compile(r"&(?:#[0-9]{1,11}|#[xX][0-9a-fA-F]{1,8}|amp|lt|gt|quot|apos);")
_IN_JSON = re.compile(r"u([0-9a-fA-F]{4})")
_SHORT = {"n": "\n", "r": "\r", "t": "\t"}
#: what escapes is written out of letters and digits, so they are never escaped themselves
_WORD = re.compile(r"[A-Za-z0-9]+")


class Wanted:
    """A text that is looked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._word = max(_WORD.findall(text), key=len, default="")
        self._places: dict[str, int] = {}

    def masked(self, text: str, mask: str) -> str:
        """`text` with `mask` in the place of each spelling."""
        parts, kept_to = [], 0
        for start, end in self._spans(text):
            parts += [text[kept_to:start], mask]
            kept_to = end
        return "".join([*parts, text[kept_to:]]) if parts else text

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """(start, end) of each spelling, from left to right, none inside another."""
        for start, end in self._windows(text):
            yield from self._found(text, start, end)

    def _windows(self, text: str) -> list[tuple[int, int]]:
        """Where a spelling may be: around its longest word, which stands in every one of them as it is."""
        if not self._word:
            return [(0, len(text))]
        found: list[tuple[int, int]] = []
        room, size = LONGEST * len(self._text), len(self._word)
        at = text.find(self._word)
        while at >= 0:
            start, end = max(0, at - room), min(len(text), at + size + room)
            if found and start <= found[-1][1]:
                start = found.pop()[0]
            found.append((start, end))
            at = text.find(self._word, at + size)
        return found

    def _found(self, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        places, whole = self._all_places(), 1 << len(self._text)
        read: dict[int, int] = {}  # place in `text` → how much may have been read when it is reached
        for at in range(start, end + 1):
            now = read.pop(at, 0) | 1
            if now & whole:
                yield self._start(text, start, at), at
                now, read = 1, {}
            if at == end:
                return
            for char, after in _readings(text, at):
                more = now & places.get(char, 0)
                if more:
                    read[after] = read.get(after, 0) | more << 1

    def _start(self, text: str, first: int, end: int) -> int:
        """Where the spelling that ends at `end` begins: the same, read backwards."""
        places, read = self._all_places(), {end: 1 << len(self._text)}
        for at in range(end - 1, first - 1, -1):
            here = 0
            for char, after in _readings(text, at):
                here |= read.get(after, 0) >> 1 & places.get(char, 0)
            if here & 1:
                return at
            read[at] = here
            read.pop(at + LONGEST, None)
        return first

    def _all_places(self) -> dict[str, int]:
        """For each character the bits of its places in the text that is looked for."""
        if not self._places:
            size = len(self._text) // 8 + 1
            bits = {char: bytearray(size) for char in set(self._text)}
            for place, char in enumerate(self._text):
                bits[char][place >> 3] |= 1 << (place & 7)
            self._places = {char: int.from_bytes(each, "little") for char, each in bits.items()}
        return self._places


def _readings(text: str, at: int) -> Iterator[tuple[str, int]]:
    """(character, where the next one begins) for each way to read what stands at `at`."""
    first = text[at]
    yield first, at + 1
    if first == "%" and (found := _IN_URL.match(text, at)):
        yield from _url_reading(found[0], at)
    elif first == "&" and (found := _IN_HTML.match(text, at)):
        yield html.unescape(found[0])[:1], found.end()
    elif first == "\\":
        yield from _json_readings(text, at)
    elif first == "+":
        yield " ", at + 1


def _url_reading(escaped: str, at: int) -> Iterator[tuple[str, int]]:
    raw = bytes.fromhex(escaped.replace("%", ""))
    size = 1 if raw[0] < 0xC0 else 2 if raw[0] < 0xE0 else 3 if raw[0] < 0xF0 else 4
    char = raw[:size].decode("utf-8", "replace")
    if len(char) == 1:
        yield char, at + 3 * size


def _json_readings(text: str, at: int) -> Iterator[tuple[str, int]]:
    """A character behind one to four backslashes, as `\\/` or `\\u002f`; JSON inside JSON doubles them."""
    for after in range(at + 1, min(at + 5, len(text))):
        char = text[after]
        yield char, after + 1
        if char in _SHORT:
            yield _SHORT[char], after + 1
        elif found := _IN_JSON.match(text, after):
            yield chr(int(found[1], 16)), found.end()
        if char != "\\":
            return
