"""NDJSON, JSON arrays and CSV, as people and programs really write them."""

import csv
import io
import json
import math
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.platform.errors import Invalid
from core.records import files
from core.records.files import BadLine

pytestmark = pytest.mark.slow

Read = tuple[int, Any]


def read(data: bytes | str) -> list[Read]:
    raw = data.encode() if isinstance(data, str) else data
    return list(files.read(io.BytesIO(raw), "the file"))


def good(rows: Iterable[Read]) -> list[Any]:
    return [row for _, row in rows if not isinstance(row, BadLine)]


def bad(rows: Iterable[Read]) -> dict[int, str]:
    return {number: row.reason for number, row in rows if isinstance(row, BadLine)}


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
#: with an id: without one, {"rows": [{…}]} alone in a file is taken for a list that is wrapped up
OBJECTS = st.lists(st.dictionaries(TEXT, VALUES, max_size=5).map(lambda it: {"id": 1} | it), max_size=6)


@given(OBJECTS, st.sampled_from(["\n", "\r\n", "\n\n", " \r\n\t\n"]), st.booleans())
def test_every_object_of_an_ndjson_file_comes_back(objects: list[Any], end: str, has_bom: bool) -> None:
    text = "".join(json.dumps(item) + end for item in objects)
    assert good(read("\ufeff" * has_bom + text)) == objects


@given(OBJECTS, st.sampled_from([None, 1]), st.integers(1, 40))
def test_every_element_of_an_array_comes_back_however_the_file_is_cut(
    objects: list[Any], indent: int | None, chunk: int
) -> None:
    stream = Trickle(json.dumps(objects, indent=indent, ensure_ascii=False).encode(), chunk)
    rows = list(files.read(stream, "the file"))  # type: ignore[arg-type]
    assert rows == list(enumerate(objects, 1))


class Trickle(io.BytesIO):
    """Gives at most `chunk` bytes per read, as a slow pipe does."""

    def __init__(self, data: bytes, chunk: int) -> None:
        super().__init__(data)
        self.chunk = chunk

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self.chunk)

    def readline(self, size: int | None = -1) -> bytes:
        return super().readline(size)


# Python's writer leaves a lone carriage return unquoted, which no reader can tell from an end of line
CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))
CELLS = st.lists(st.tuples(CELL, CELL), max_size=6)


@given(CELLS, st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n"]), st.booleans())
@example([('5" pipe', "a\nb")], ",", "\n", False)
def test_every_row_of_a_csv_file_comes_back(
    cells: list[tuple[str, str]], separator: str, end: str, has_bom: bool
) -> None:
    file = io.StringIO(newline="")
    table = csv.writer(file, delimiter=separator, lineterminator=end)
    table.writerow(["id", "title", "note"])
    for number, row in enumerate(cells):
        table.writerow([number, *row])
    expected = [
        {"id": str(number)} | {name: text for name, text in zip(("title", "note"), row, strict=True) if text}
        for number, row in enumerate(cells)
    ]
    assert good(read("\ufeff" * has_bom + file.getvalue())) == expected


@given(st.binary(max_size=300) | st.text('[]{}",:;id\n\r\\ue0', max_size=60).map(str.encode))
@example(b"[")
@example(b"[1")
@example(b'[{"id":1}')
@example(b'{"id":"\xff"}')
@example(b'id\n"')
def test_any_bytes_give_rows_reasons_or_one_sentence(data: bytes) -> None:
    rows: list[Read] = []
    message = "the file."
    try:
        rows = read(data)
    except Invalid as error:
        message = error.message
    assert "the file" in message
    assert message.endswith(".")
    for number, row in rows:
        assert number >= 1
        assert isinstance(row, dict) or row.reason


def test_bad_lines_are_reported_and_the_rest_goes_in() -> None:
    rows = read('{"id": 1}\n{"id": \n\n[2]\n{"id": 7}\n')
    assert good(rows) == [{"id": 1}, {"id": 7}]
    assert sorted(bad(rows)) == [2, 4]
    assert "not valid JSON" in bad(rows)[2]
    assert bad(rows)[4] == "it is not an object of fields and values"


#: what other writers put into JSON, and what is read
ODD = {
    '"a\\u0000b"': "a\0b",
    '"a\0b"': "a\0b",
    '"\\ud800"': "\ud800",
    '"\\ud83d\\ude00"': "\U0001f600",
    "NaN": math.nan,
    "-Infinity": -math.inf,
    "1e999": math.inf,
    "9" * 5000: math.inf,
    "9" * 25: 1e25,
    "7": 7,
}


@pytest.mark.parametrize(("shape", "first"), [("{}\n{}\n", 1), ("[{}, {}]", 1)])
@pytest.mark.parametrize(("written", "value"), ODD.items(), ids=str)
def test_what_other_writers_put_into_json_is_read(written: str, value: Any, shape: str, first: int) -> None:
    rows = read(shape.format(f'{{"id": 1, "note": {written}}}', '{"id": 2}'))
    assert repr(good(rows)) == repr([{"id": 1, "note": value}, {"id": 2}])


def test_bytes_that_are_no_utf_8_are_read() -> None:
    for shape in (b'{"id": 1, "note": "Zo\xeb"}\n', b'[{"id": 1, "note": "Zo\xeb"}]'):
        assert good(read(shape)) == [{"id": 1, "note": "Zo\udceb"}]
    assert good(read(b'id,note\n1,"Zo\xeb\0"\n')) == [{"id": "1", "note": "Zo\udceb\0"}]


def test_a_backslash_before_u0000_is_only_a_backslash() -> None:
    assert good(read('{"id": "\\\\u0000"}')) == [{"id": "\\u0000"}]


def test_an_overlong_line_is_refused_and_the_next_one_read() -> None:
    long = json.dumps({"id": "x" * files.MAX_LINE_BYTES})
    rows = read(f'{{"id": 1}}\n{long}{long}{long}\n{{"id": 3}}')
    assert bad(rows) == {2: "it is longer than 5 MB"}
    assert good(rows) == [{"id": 1}, {"id": 3}]


def test_an_overlong_element_of_an_array_is_refused_and_the_next_one_read() -> None:
    long = json.dumps({"id": "x" * (files.MAX_LINE_BYTES - 8)})
    rows = read(f'[{{"id": 1}}, {long}, {{"id": 3}}]')
    assert bad(rows) == {2: "it is longer than 5 MB"}
    assert good(rows) == [{"id": 1}, {"id": 3}]


def test_a_bad_element_of_an_array_is_reported_and_the_rest_goes_in() -> None:
    rows = read('[{"id": 1}, 7, {"id": 5}]')
    assert good(rows) == [{"id": 1}, {"id": 5}]
    assert sorted(bad(rows)) == [2]


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("", "breaks off"),
        (', {"id": 2', "breaks off"),
        (", {'id': 2}]", "not valid JSON"),
        ('] {"id": 2}', "the rest was not read"),
    ],
)
def test_a_broken_array_says_from_where_it_was_not_read(end: str, reason: str) -> None:
    rows = read(f'[{{"id": 1}}{end}')
    assert good(rows) == [{"id": 1}]
    assert reason in bad(rows)[2]


def test_deep_nesting_is_refused() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    assert "not valid JSON" in bad(read(f'{{"id": {deep}}}'))[1]
    assert "too deeply" in bad(read(f'[{{"id": {deep}}}]'))[1]


def test_csv_leaves_metadata_to_its_column_and_empty_cells_out() -> None:
    rows = read('id,title,metadata,note\n1,,"{""site"": ""a forum""}",\n2,x,{broken,\n')
    assert good(rows) == [
        {"id": "1", "metadata": '{"site": "a forum"}'},
        {"id": "2", "title": "x", "metadata": "{broken"},
    ]


def test_csv_reports_rows_that_do_not_fit_the_first_line() -> None:
    rows = read('id,title\n1,a\n2\n3,b,c\n4,"x"y\n5,"two\nlines"\n')
    assert good(rows) == [{"id": "1", "title": "a"}, {"id": "5", "title": "two\nlines"}]
    assert bad(rows)[3] == "it has 1 fields, but the first line names 2"
    assert sorted(bad(rows)) == [3, 4, 5]


def test_an_unclosed_quote_costs_one_row_not_the_rest_of_the_file() -> None:
    lines = "".join(f"{number},t\n" for number in range(3, 2000))
    rows = read(f'id,title\n1,a\n2,"open\n{lines}')
    assert bad(rows) == {3: "a quote is opened and never closed"}
    assert len(good(rows)) == 1998


def test_an_unclosed_quote_before_a_quoted_row_costs_one_row() -> None:
    rows = read('id,title\n1,"open\n2,b\n3,"quoted, c"\n4,d\n')
    assert [row["id"] for row in good(rows)] == ["2", "3", "4"]
    assert list(bad(rows)) == [2]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\x03\x04rest", "an Excel or ZIP file"),
        (b"\x1f\x8b\x08rest", "compressed"),
        ("id,title\n1,a".encode("utf-16"), "in UTF-16"),
        (b"\x7fELF\x00\x01", "is not text"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is not text"),
        (b'{"scans": [{"id": 1}]}', 'records in "scans". Take them out first: jq .scans FILE'),
        (b'{"scans": [\n{"id": 1}]}', "jq .scans FILE"),
        (b'{\n  "scans": [\n    {"id": 1}\n]}', "jq .scans FILE"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"<html>\n<body>", 'names no column "id"'),
        (b"username,email\nana,a@example.org\n", 'names no column "id"'),
        (b"id,title,title\n", '"title" twice'),
        (b'{\n  "id": 1\n}\n', "one JSON object over several lines"),
        (b"id,caf\xe9\n", "not in UTF-8"),
    ],
)
def test_a_file_that_is_something_else_is_refused_in_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(Invalid, match="the file") as raised:
        read(data)
    assert words in raised.value.message


def test_a_record_that_begins_with_a_list_is_a_record() -> None:
    assert good(read('{"tags": [{"a": 1}], "id": 1}')) == [{"tags": [{"a": 1}], "id": 1}]


@pytest.mark.parametrize("data", [b"", b"\n \r\n", b"\xef\xbb\xbf", b"[]", b" [ ]\n", b"id,title\n"])
def test_an_empty_file_has_no_rows(data: bytes) -> None:
    assert read(data) == []


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"no file .*gone\.csv"):
        list(files.read(tmp_path / "gone.csv", "gone.csv"))


class Endless(io.RawIOBase):
    """`count` lines made on demand, so that the file itself costs no memory."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self.lines, self.rest = lines, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while len(self.rest) < len(buffer) and (line := next(self.lines, b"")):
            self.rest += line
        taken, self.rest = self.rest[: len(buffer)], self.rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def object_lines(count: int) -> Iterator[bytes]:
    return (b'{"id": "%d", "text": "%s"}\n' % (number, b"x" * 300) for number in range(count))


def table_lines(count: int) -> Iterator[bytes]:
    yield b"id,text\n"
    yield from (b"%d,%s\n" % (number, b"x" * 300) for number in range(count))


def array_lines(count: int) -> Iterator[bytes]:
    yield b"[\n"
    yield from (line.rstrip() + b",\n" for line in object_lines(count - 1))
    yield b'{"id": "last"}]'


@pytest.mark.parametrize("lines", [object_lines, table_lines, array_lines])
def test_a_file_of_any_size_costs_the_same_memory(lines: Any) -> None:
    stream = io.BufferedReader(Endless(lines(50_000)))  # 16 MB
    tracemalloc.start()
    try:
        assert sum(1 for _ in files.read(stream, "big")) == 50_000
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
