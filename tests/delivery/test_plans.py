"""How far the hub looks: what each statement reads of the tables that grow, on an archive of 20,000 deliveries.

Every statement of every question in `bench.questions` is explained as it is asked, on SQLite with the statistics
that the migrations give it, and on PostgreSQL whose planner is told that the tables are five hundred times as large.
A statement that walks or sorts a growing table has to read it: so what is counted is what it read.
"""

import inspect
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import URL, event, text
from sqlmodel import SQLModel

from bench import archive, questions
from bench.questions import ASKED, MOVE, READ, Place, place
from core.delivery import history, outbox
from core.delivery.history import replays, search
from core.platform.settings import settings
from core.storage import db
from tests.conftest import run_on

pytestmark = pytest.mark.slow

ROWS = 20_000
TIMES = 500  # so many of each are in the tables, PostgreSQL's planner believes
#: PostgreSQL says how many rows a statement read, SQLite how many instructions it took: at least three a row
MOST = {"rows": 1_000, "instructions": 18_000}
#: a step that rewrites 200 rows keeps a dozen indexes, and so takes more for each
MOST_WRITING = MOST | {"instructions": 30_000}
STEP = 100
NAMES = re.compile(rf"\b({'|'.join(archive.GROWING)})\b")
PARTIAL = [
    str(index.name)
    for table in SQLModel.metadata.tables.values()
    for index in table.indexes
    if index.dialect_options["sqlite"]["where"] is not None
]
#: they read a replay by its key; the steps are asked by `work_off`
STEERS = {"pause", "resume", "find", "step"}
#: of `core.delivery.outbox`: what is no question to the database
NOT_ASKED = {"Claim", "Known", "LOCK_ORDER", "New", "Search", "TicketTarget", "Waiting", "held", "is_new"}


@dataclass
class Seen:
    """One statement, and how it was answered."""

    statement: str
    plan: str
    unit: str
    read: int = 0
    walked: list[str] = field(default_factory=list)  # growing tables from one end to the other

    @property
    def most(self) -> int:
        return (MOST_WRITING if self.statement.startswith("UPDATE") else MOST)[self.unit]

    def __str__(self) -> str:
        return f"{self.read:,} {self.unit}, walks {self.walked}\n{self.statement}\n{self.plan}"


@pytest.fixture(scope="module")
def filled_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "hub.db"
    _fill(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def filled_postgres(postgres: URL) -> Iterator[str]:
    run_on(postgres, "CREATE DATABASE hub_archive")
    url = postgres.set(database="hub_archive").render_as_string(hide_password=False)
    _fill(url)
    archive.analyze()
    with db.session() as session:
        for table in archive.GROWING:  # told once: no vacuum of its own may count them again
            session.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = off)"))
        session.execute(
            text(f"UPDATE pg_class SET reltuples = reltuples * {TIMES} WHERE relname = ANY(:tables)"),
            {"tables": list(archive.GROWING)},
        )
    yield url
    db.engine().dispose()
    run_on(postgres, "DROP DATABASE hub_archive WITH (FORCE)")


def _fill(url: str) -> None:
    db.configure(url)
    db.migrate()
    archive.fill(ROWS)
    db.engine().dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def here(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    if request.param == "postgres":
        url: str = request.getfixturevalue("filled_postgres")
    else:
        shutil.copy(request.getfixturevalue("filled_sqlite"), tmp_path / "hub.db")
        url = f"sqlite:///{tmp_path}/hub.db"
    monkeypatch.setenv("HUB_DATABASE_URL", url)
    settings.cache_clear()
    monkeypatch.setattr(
        import_module("core.delivery.history.replay_plan"), "COUNTED", 200
    )  # bounds that a small archive goes beyond, too
    monkeypatch.setattr(replays, "LOOKED_AT", 200)
    db.configure(url)
    yield place()
    db.engine().dispose()


@pytest.mark.parametrize(
    "index",
    [
        "ix_webhook_deliveries_connection",
        "ix_webhook_deliveries_due",
        "ix_webhook_deliveries_stuck",
        "ix_webhook_deliveries_skipped",
        "ix_siem_events_waiting",
    ],
)
def test_without_an_index_somebody_reads_too_much(here: Place, index: str) -> None:
    with ExitStack() as without:
        without.enter_context(dropped(index))
        if (
            index == "ix_webhook_deliveries_due"
        ):  # which stands in for it where only the connection is asked for
            without.enter_context(dropped("ix_webhook_deliveries_severity"))
        assert too_far(here, READ)


def test_no_question_reads_more_of_a_growing_table_than_it_needs(here: Place) -> None:
    far = too_far(here, ASKED)
    assert not far, "\n\n".join(far)


def test_every_function_of_the_outbox_and_of_deliveries_is_asked() -> None:
    asked = {name.removeprefix("outbox.").partition(":")[0] for name in MOVE}
    assert {name for name in outbox.__all__ if name not in NOT_ASKED} <= asked
    source = Path(questions.__file__).read_text()
    names = {name for name in history.__all__ if name[0].islower()}
    for module in (replays, search):
        names |= {name for name, thing in vars(module).items() if _is_door(module, thing)}
    missing = [name for name in names - STEERS if f".{name}(" not in source and f".{name}," not in source]
    assert missing == [], "asked nowhere in bench/questions.py"


def _is_door(module: ModuleType, thing: object) -> bool:
    return inspect.isfunction(thing) and thing.__module__ == module.__name__ and thing.__name__[0] != "_"


def too_far(here: Place, asked: Mapping[str, Callable[[Place], object]]) -> list[str]:
    """What reads too much, each with its statement and its plan."""
    far = []
    for name, ask in asked.items():
        with watched() as seen:
            ask(here)
        far += [f"{name}: {one}" for one in seen if one.walked or one.read > one.most]
    return far


@contextmanager
def watched() -> Iterator[list[Seen]]:
    """The statements on growing tables from here to the end of the block."""
    seen: list[Seen] = []
    at: list[Seen] = []  # the one that runs now

    def explain(link: Any, _cursor: Any, statement: str, given: Any, _context: Any, many: bool) -> None:
        at.clear()
        if statement.startswith(("INSERT", "EXPLAIN")) or not NAMES.search(statement):
            return
        look = _on_sqlite if link.dialect.name == "sqlite" else _on_postgres
        one = look(link.connection.dbapi_connection, statement, given[0] if many else given)
        if link.dialect.name == "sqlite":
            at.append(one)
            link.connection.dbapi_connection.set_progress_handler(count, STEP)
        seen.append(one)

    def count() -> None:
        for one in at:
            one.read += STEP

    engines = (db.engine(), db.engine(write=True))
    for engine in engines:
        event.listen(engine, "before_cursor_execute", explain)
    try:
        yield seen
    finally:
        at.clear()
        for engine in engines:
            event.remove(engine, "before_cursor_execute", explain)


def _on_sqlite(raw: sqlite3.Connection, statement: str, given: Any) -> Seen:
    lines = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", given)]
    walks = re.compile(rf"SCAN ({NAMES.pattern})(?! USING (COVERING )?INDEX ({'|'.join(PARTIAL)}))")
    walked = [line for line in lines if walks.match(line) and "LIMIT" not in statement]
    return Seen(statement, "\n".join(lines), "instructions", walked=walked)


def _on_postgres(raw: Any, statement: str, given: Any) -> Seen:
    """Executed for its counts, and rolled back: what comes after it finds everything as it was."""
    with raw.cursor() as cursor:
        cursor.execute("SAVEPOINT explained")
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", given)
        plan = cursor.fetchone()[0][0]["Plan"]
        cursor.execute("ROLLBACK TO SAVEPOINT explained")
    nodes = list(_nodes(plan))
    mine = [node for node in nodes if node.get("Relation Name") in archive.GROWING]
    walked = [
        f"{node['Node Type']} of {node['Relation Name']}" for node in mine if node["Node Type"] == "Seq Scan"
    ]
    read = sum(
        node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) for node in mine
    )
    lines = (f"{node['Node Type']} {node.get('Index Name', '')}: {node['Actual Rows']}" for node in nodes)
    return Seen(statement, "\n".join(lines), "rows", int(read), walked)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


@contextmanager
def dropped(index: str) -> Iterator[None]:
    is_sqlite = db.engine().dialect.name == "sqlite"
    definition = f"SELECT {'sql FROM sqlite_master' if is_sqlite else 'indexdef FROM pg_indexes'} WHERE "
    with db.session() as session:
        made = session.execute(
            text(f"{definition}{'name' if is_sqlite else 'indexname'} = '{index}'")
        ).scalar_one()
        session.execute(text(f"DROP INDEX {index}"))
    yield
    with db.session() as session:
        session.execute(text(made))
