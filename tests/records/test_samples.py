"""The sample records: made by their generator, enough of them, varied, and about nobody real."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.access import LOCAL
from core.integrations.mapping import severity_of
from core.records import files, intake
from core.records.files import BadLine
from core.storage.models import Kind
from tests.conftest import People

FOLDER = Path(__file__).parents[2] / "data" / "samples"
FILES = {Kind.SCAN: "scans.ndjson", Kind.CASE: "cases.json", Kind.ALERT: "alerts.csv"}
LEAST = {Kind.SCAN: 500, Kind.CASE: 60, Kind.ALERT: 200}


def rows(kind: Kind) -> list[dict[str, Any]]:
    read = [row for _, row in files.read(FOLDER / FILES[kind], FILES[kind])]
    return [row for row in read if not isinstance(row, BadLine)]


def test_the_files_are_what_the_generator_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, FOLDER / "make.py", tmp_path], check=True)
    for name in FILES.values():
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), f"run make.py again for {name}"


@pytest.mark.parametrize("kind", list(Kind))
def test_there_are_enough_of_several_people(kind: Kind) -> None:
    found = rows(kind)
    assert len(found) >= LEAST[kind]
    assert len({row["id"] for row in found}) == len(found)
    assert len({row["user_id"] for row in found}) >= 4


@pytest.mark.parametrize("kind", list(Kind))
def test_they_are_varied(kind: Kind) -> None:
    found = rows(kind)
    assert {severity_of(kind, row) for row in found} == {"low", "medium", "high", "critical"}
    word = {Kind.SCAN: "status", Kind.CASE: "status", Kind.ALERT: "alert_type"}[kind]
    assert len({row[word] for row in found}) == 4


@pytest.mark.parametrize("kind", list(Kind))
def test_they_are_imported_without_a_bad_line(people: People, kind: Kind) -> None:
    done = intake.import_file(LOCAL, kind, FOLDER / FILES[kind])
    assert (done.new, done.bad) == (len(rows(kind)), [])


def test_cases_and_alerts_belong_to_scans_of_the_same_person() -> None:
    owner = {row["id"]: row["user_id"] for row in rows(Kind.SCAN)}
    for kind in (Kind.CASE, Kind.ALERT):
        assert all(owner[row["scan_id"]] == row["user_id"] for row in rows(kind))


@pytest.mark.parametrize("name", FILES.values())
def test_nobody_real_is_in_them(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    addresses = re.findall(r"[\w.+-]+@([\w.-]+\w)", text)
    assert set(addresses) <= {"example.org", "example.com", "example.net"}
    phones = re.findall(r"\+[\d-]{7,}", text)
    assert all(re.fullmatch(r"\+1-\d{3}-555-01\d\d", phone) for phone in phones)
    assert phones
