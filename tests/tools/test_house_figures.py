"""The figures of the house: counted in a small one, and one sync walked through in this."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools import house_figures as house

ROOT = Path(__file__).parents[2]
FILES = {
    "core/__init__.py": "",
    "core/storage/__init__.py": "",
    "core/storage/db.py": "class Row:\n    def read(self) -> dict[str, Any]:\n        return {}\n",
    "core/jira/connector.py": "class Row: ...\ndef body() -> dict[str, Any]: ...\n",
    "core/outbox.py": (
        "import core.storage.db as database\n"
        "from core.storage import db\n"
        "from core.storage.db import Row as Kept\n"
        "async def send():\n    from core.jira import connector\n" + "    pass\n" * 60
    ),
    "core/sandbox/server.py": "from core import outbox\nclass Row: ...\n",
    "pages/health.py": "from core import outbox\n",
}


@pytest.fixture
def found(tmp_path: Path) -> list[house.Module]:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return house.modules(tmp_path)


def test_modules_and_folders_of_core_are_its_entries(found: list[house.Module]) -> None:
    assert house.entries(found) == ["jira", "outbox", "storage"]


def test_an_arrow_is_an_entry_that_imports_another_also_inside_a_function(found: list[house.Module]) -> None:
    assert house.arrows(found) == {("outbox", "storage"): 3, ("outbox", "jira"): 1}


def test_only_a_module_with_another_name_is_an_alias(found: list[house.Module]) -> None:
    assert house.aliases(found) == ["core.outbox: core.storage.db as database"]


def test_functions_are_measured_whole(found: list[house.Module]) -> None:
    assert house.functions(found) == [
        (62, "core.outbox.send"),
        (2, "core.storage.db.read"),
        (1, "core.jira.connector.body"),
    ]


def test_a_vendors_body_is_no_parcel(found: list[house.Module]) -> None:
    assert house.parcels(found) == ["core.storage.db.read"]


def test_a_class_name_has_its_places(found: list[house.Module]) -> None:
    assert house.double_names(found) == {"Row": ["core.jira.connector", "core.storage.db"]}


@pytest.mark.parametrize(("part", "size"), [(0.5, 5), (0.9, 9), (1.0, 10)])
def test_a_share_is_a_size_that_is_there(part: float, size: int) -> None:
    assert house.share(list(range(10, 0, -1)), part) == size


def test_one_sync_stays_in_the_rooms_below_it() -> None:
    tool = [sys.executable, str(ROOT / "tools" / "house_figures.py"), "--trace", "--arrows"]
    said = subprocess.run(tool, capture_output=True, text=True, timeout=120, check=True).stdout
    lines = dict(line.split("  ", 1) for line in said.splitlines() if not line.startswith(" "))
    crossed = lines["one sync: entries crossed"].split(": ")[1].split(", ")
    assert {"delivery", "integrations", "http", "storage"} <= set(crossed)
    assert not {"web", "cli", "connections", "health"} & set(crossed)
