"""Pure: an NDJSON, JSON array or CSV file → rows, each with its number; recognised by content, not by name.

Nothing is held but the line being read, so a file of any size costs the same memory. A line that cannot be
read becomes a BadLine and the next one is read; a file that is none of the three raises Invalid.
"""

import codecs
import csv
import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from core.platform.errors import Invalid
from core.records.storable import LENIENT, read_json

MAX_LINE_BYTES = 5_000_000
MAX_RECORD_LINES = 1_000  # of one CSV record whose quoted text has line breaks
CHUNK_BYTES = 1 << 18
BOM = codecs.BOM_UTF8
#: how an object begins that has a list of objects as its first field
_WRAPPED = re.compile(rb'\{\s*"(\w{1,60})"\s*:\s*\[\s*(?:\{|$)')
#: no text has these
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_SPACE = re.compile(r"[\s,]*")
_FORMATS = "Save it as NDJSON (one object per line), a JSON array or CSV, in UTF-8"
#: how files begin that people mistake for one of ours
_MAGIC = {
    b"PK\x03\x04": "an Excel or ZIP file",
    b"\x1f\x8b": "compressed",
    b"%PDF": "a PDF",
    b"SQLite format 3": "a SQLite database",
    codecs.BOM_UTF16_LE: "in UTF-16",
    codecs.BOM_UTF16_BE: "in UTF-16",
}
# The csv module's own limit is 128 KiB a field, for the whole process; ours is the line.
csv.field_size_limit(MAX_LINE_BYTES)


@dataclass(frozen=True)
class BadLine:
    number: int
    reason: str


Row = tuple[int, dict[str, Any] | BadLine]
Line = tuple[int, bytes]


def read(source: Path | BinaryIO, name: str) -> Iterator[Row]:
    """Rows of `source`, numbered from 1: lines, or elements of a JSON array. Messages call it `name`."""
    if not isinstance(source, Path):
        yield from _rows(source, name)
        return
    with open_file(source) as stream:
        yield from _rows(stream, name)


def open_file(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise Invalid(f"There is no file {path}. Check the name and the folder.") from None
    except OSError as error:
        raise Invalid(f"{path} cannot be opened ({error.strerror}). Choose a file you may read.") from None


def _rows(stream: BinaryIO, name: str) -> Iterator[Row]:
    lines = _lines(stream)
    first = next((line for line in lines if line[1].strip()), None)
    if first is None:
        return
    start = first[1].lstrip()
    _refuse_binary(start, name)
    if start.startswith(b"["):
        yield from _array(start, stream)
    elif start.startswith(b"{"):
        _refuse_wrapped(start, lines, name)
        yield from (_object(number, raw) for number, raw in chain([first], lines) if raw.strip())
    else:
        yield from _table(start, lines, name)


def _lines(stream: BinaryIO) -> Iterator[Line]:
    """Lines with their numbers. One that is too long comes cut, still longer than the limit."""
    for number in count(1):
        line = stream.readline(MAX_LINE_BYTES + 1)
        if not line:
            return
        yield number, line.removeprefix(BOM) if number == 1 else line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE_BYTES + 1)


def _refuse_binary(start: bytes, name: str) -> None:
    known = next((what for magic, what in _MAGIC.items() if start.startswith(magic)), None)
    if known:
        raise Invalid(f"{name} is {known}, not a text file of records. {_FORMATS}.")
    is_json = start[:1] in (b"{", b"[") and start[1:2] != b"\0"  # which is how UTF-16 would go on
    if b"\0" in start[:4096] and not is_json:
        raise Invalid(f"{name} is not text. {_FORMATS}.")


def _refuse_wrapped(start: bytes, lines: Iterator[Line], name: str) -> None:
    """One object that holds the list, or one object over several lines, is no list of records."""
    is_spread = start.strip() == b"{"
    found = _WRAPPED.match(start + next(lines, (0, b""))[1] if is_spread else start)
    if found and not _has_id(start):
        field = found[1].decode()
        raise Invalid(
            f'{name} is one JSON object with the records in "{field}". Take them out first: jq .{field} FILE'
        )
    if is_spread:
        raise Invalid(f"{name} is one JSON object over several lines, not a list of records. {_FORMATS}.")


def _has_id(raw: bytes) -> bool:
    try:
        return "id" in orjson.loads(raw)
    except orjson.JSONDecodeError:
        return False


def _object(number: int, raw: bytes) -> Row:
    if len(raw) > MAX_LINE_BYTES:
        return number, BadLine(number, f"it is longer than {MAX_LINE_BYTES // 1_000_000} MB")
    try:
        row = read_json(raw)
    except orjson.JSONDecodeError as error:
        return number, BadLine(number, f"it is not valid JSON ({error.msg}, at column {error.colno})")
    if not isinstance(row, dict):
        return number, BadLine(number, "it is not an object of fields and values")
    return number, row


# --- JSON array -----------------------------------------------------------------------------------


def _array(start: bytes, stream: BinaryIO) -> Iterator[Row]:
    """Elements one by one: the array is never held as a whole. After broken syntax nothing can be trusted."""
    decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
    text, at, number, is_last = decode(start), 1, 1, False
    while True:
        at = _end(_SPACE.match(text, at))
        if text.startswith("]", at):
            break
        end, cause = _element_end(text, at)
        if end is not None and (end < len(text) or is_last):
            yield _object(number, text[at:end].encode("utf-8", "surrogateescape"))
            at, number = end, number + 1
        elif is_last or len(text) - at > MAX_LINE_BYTES:
            yield number, BadLine(number, f"{cause}; the file was not read beyond it")
            return
        else:
            chunk = stream.read(CHUNK_BYTES)
            is_last = not chunk
            text, at = text[at:] + decode(chunk, is_last), 0
    if (text[at + 1 :] + decode(stream.read(CHUNK_BYTES))).strip():
        yield number, BadLine(number, "the list ends before it, but the file goes on; the rest was not read")


def _end(found: re.Match[str] | None) -> int:
    return found.end() if found else 0


def _element_end(text: str, at: int) -> tuple[int | None, str]:
    try:
        return LENIENT.raw_decode(text, at)[1], ""  # where it ends; its text is then read by itself
    except RecursionError:
        return None, "it is nested too deeply"
    except json.JSONDecodeError as error:
        if error.pos >= len(text) or not text[at:].strip():
            return None, "the file breaks off in the middle of the list"
        return None, f"it is not valid JSON ({error.msg})"


# --- CSV ------------------------------------------------------------------------------------------


def _table(header: bytes, lines: Iterator[Line], name: str) -> Iterator[Row]:
    columns, separator = _columns(header, lines, name)
    again: deque[Line] = deque()  # lines that a bad record swallowed

    def take() -> Line | None:
        return again.popleft() if again else next(lines, None)

    while (line := take()) is not None:
        number, raw = line
        if not raw.strip():
            continue
        cells, swallowed = _cells(raw, take, separator)
        if isinstance(cells, list) and len(cells) != len(columns):
            cells = f"it has {len(cells)} fields, but the first line names {len(columns)}"
        if isinstance(cells, str):
            again.extendleft(reversed(swallowed))
            yield number, BadLine(number, cells)
        else:
            yield _named(number, columns, cells)


def _columns(header: bytes, lines: Iterator[Line], name: str) -> tuple[list[str], str]:
    try:
        text = header.decode()
    except UnicodeDecodeError:
        sample = header + b"".join(line for _, line in islice(lines, 20))
        what = "not text" if _CONTROL.search(sample) else "not in UTF-8"
        raise Invalid(f"{name} is {what}. {_FORMATS}.") from None
    separator = max(",;\t", key=text.count)  # Excel writes ; where the comma is the decimal point
    try:
        columns = [column.strip() for column in _split(text, separator) or []]
    except csv.Error:
        columns = []
    if "id" not in columns:
        raise Invalid(
            f"{name} is neither NDJSON nor a JSON array, and as CSV its first line names no column "
            f'"id". {_FORMATS}.'
        )
    twice = next((c for c in columns if c and columns.count(c) > 1), None)
    if twice:
        raise Invalid(f'{name} names the column "{twice}" twice. Rename or remove one of them.')
    return columns, separator


def _cells(raw: bytes, take: Callable[[], Line | None], separator: str) -> tuple[list[str] | str, list[Line]]:
    """The cells of the record that starts with `raw`, or a reason; and the further lines it took."""
    parts, swallowed, size = [raw], list[Line](), len(raw)
    try:
        found = _split(_decoded(parts), separator)
        while found is None and size <= MAX_LINE_BYTES and len(swallowed) < MAX_RECORD_LINES:
            following = take()
            if following is None:
                break
            swallowed.append(following)
            parts.append(following[1])
            size += len(following[1])
            if b'"' in following[1]:  # only a quote can close what is open
                found = _split(_decoded(parts), separator)
    except csv.Error as error:
        return f"it is not valid CSV ({error})", swallowed
    if size > MAX_LINE_BYTES:
        return f"it is longer than {MAX_LINE_BYTES // 1_000_000} MB", swallowed
    return found or "a quote is opened and never closed", swallowed


def _decoded(parts: list[bytes]) -> str:
    return b"".join(parts).decode("utf-8", "surrogateescape")


def _split(text: str, separator: str) -> list[str] | None:
    """Cells of one record; None while a quote is open. Raises csv.Error."""
    try:
        rows = list(csv.reader([text.rstrip("\r\n")], delimiter=separator, strict=True))
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return None
        raise
    return rows[0] if rows else []


def _named(number: int, columns: list[str], cells: list[str]) -> Row:
    return number, {c: v for c, v in zip(columns, cells, strict=True) if c and v != ""}
