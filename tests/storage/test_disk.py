"""A full disk: nothing is taken in, nothing is sent, nothing is lost, and it goes on by itself.

On a small tmpfs, which only root may mount; the rest by asking for more free space than there is.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text

from core.delivery import housekeeping, send
from core.health import self_check
from core.integrations.base import Connector, Item
from core.platform.errors import Full
from core.platform.settings import settings
from core.records import intake
from core.storage import db
from core.storage import disk as space
from core.storage.models import Attempt, Heartbeat
from tests.scheduler.test_scheduler import said, scheduler
from tests.support.api_client import Api, api, refusal
from tests.support.live import until
from tests.support.terminal import Hub
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["api", "sandbox", "workplace"]

pytestmark = pytest.mark.slow
MIB = space.MIB
PLENTY = str(2**40)  # more than any disk has


def want_free(monkeypatch: pytest.MonkeyPatch, mib: str) -> None:
    monkeypatch.setenv("HUB_MIN_FREE_MB", mib)
    settings.cache_clear()


# --- a small disk ---------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """48 MiB that are nobody else's."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.decode().strip()}")
    yield folder
    db.engine().dispose()
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(name="database")
def on_the_small_disk(
    request: pytest.FixtureRequest, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Where a test has a `disk`, the database is on it."""
    if "disk" not in request.fixturenames:
        yield request.getfixturevalue("on_sqlite_alone")
        return
    folder: Path = request.getfixturevalue("disk")
    shutil.copy(sqlite_template, folder / "hub.db")
    url = f"sqlite:///{folder}/hub.db"
    monkeypatch.setenv("HUB_DATABASE_URL", url)
    monkeypatch.setenv("HUB_MIN_FREE_MB", "8")
    monkeypatch.setenv("HUB_BALLAST_MB", "12")
    settings.cache_clear()
    db.configure(url)
    yield url
    db.engine().dispose()


@pytest.fixture
def on_sqlite_alone(sqlite_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("HUB_DATABASE_URL", sqlite_database)
    settings.cache_clear()
    db.configure(sqlite_database)
    yield sqlite_database
    db.engine().dispose()


def fill(folder: Path, leaving: int) -> Path:
    """Another program's file; every byte is there."""
    path, free = folder / "another program's", shutil.disk_usage(folder).free
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - leaving)
    return path


def attempts() -> int:
    with db.reading() as session:
        return len(session.execute(select(Attempt)).all())


def test_a_nearly_full_disk_stops_everything_before_a_byte_leaves(
    disk: Path, workplace: Workplace, tmp_path: Path
) -> None:
    assert space.keep_ballast()
    workplace.connect("splunk", every="10s")
    workplace.scans(3)
    filler = fill(disk, leaving=4 * MIB)
    with scheduler(tmp_path / "log") as process:
        until(said(tmp_path / "log", "disk trouble"), "the scheduler did not say it")
        until(lambda: "disk" in str(_beat()), "the heartbeat did not say it")
        with pytest.raises(Full, match=r"[45] MiB are missing to the 8 MiB"):
            workplace.scans(1)
        result = workplace.sync("splunk")
        assert not result.success
        assert "MiB are missing to the 8 MiB" in result.message
        assert (workplace.states("splunk"), attempts()) == ([], 0)
        row = workplace.row("splunk")
        assert (row.problem, row.failures, row.run_id) == (None, 0, None)
        assert [found.what for found in self_check.standing()] == ["disk"]
        filler.unlink()
        until(lambda: workplace.states("splunk") == ["delivered"] * 3, "it did not go on")
        assert process.poll() is None
    log = (tmp_path / "log").read_text()
    assert log.count("disk trouble") == 1
    assert "disk well again" in log
    assert "Traceback" not in log


def _beat() -> object:
    with db.reading() as session:
        found = session.get(Heartbeat, "scheduler")
        return found.details if found else None


def test_a_disk_without_a_byte_is_recovered_from_with_the_reserve(
    disk: Path, workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert space.keep_ballast()
    want_free(monkeypatch, "0")  # so that the database itself meets the end of the disk
    workplace.connect("splunk", every="10s")
    workplace.scans(3)
    monkeypatch.setattr(intake, "BATCH", 20_000)
    filler = fill(disk, leaving=0)
    with pytest.raises(Full, match="is full; nothing was written"):
        workplace.scans(5_000)
    with db.reading() as session:
        assert session.execute(text("SELECT count(*) FROM scans")).scalar() == 3
        assert session.execute(text("PRAGMA integrity_check")).scalar() == "ok"
    with scheduler(tmp_path / "log") as process:
        until(said(tmp_path / "log", "trouble"), "the scheduler did not say it")
        assert "delivered" not in workplace.states("splunk")
        assert space.give_back() >= 12 * MIB
        until(lambda: workplace.states("splunk") == ["delivered"] * 3, "it did not go on")
        assert process.poll() is None
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert len(log.splitlines()) < 30  # no crash loop
    assert {row.attempt_count for row in workplace.deliveries("splunk")} == {1}
    ballast = space.ballast()
    assert ballast is not None
    filler.unlink()
    housekeeping.housekeep()
    assert ballast.exists()  # made again


# --- the reserve ----------------------------------------------------------------------------------


def test_the_reserve_is_really_allocated_and_its_owners_alone(database: str) -> None:
    assert space.keep_ballast()
    path = space.ballast()
    assert path is not None
    assert path.name == "hub.db.ballast"
    assert path.stat().st_blocks * 512 >= MIB
    assert path.stat().st_mode & 0o777 == 0o600
    made_at = path.stat().st_mtime_ns
    assert space.keep_ballast()
    assert path.stat().st_mtime_ns == made_at
    assert space.give_back() >= MIB
    assert not path.exists()
    assert space.give_back() == 0


def test_it_is_twice_the_log_by_default() -> None:
    log_bytes = 4000 * 4096  # wal_autocheckpoint × page size
    assert settings().__class__.model_fields["ballast_mb"].default * MIB >= 2 * log_bytes


def test_no_reserve_is_made_of_room_that_is_wanted_otherwise(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    want_free(monkeypatch, PLENTY)
    assert not space.keep_ballast()
    assert list(Path(str(db.engine().url.database)).parent.glob("*.ballast")) == []


# --- what each door says --------------------------------------------------------------------------


def test_the_api_answers_507_to_whatever_writes_and_still_reads(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = api.connect()
    api.workplace.scans(2)
    want_free(monkeypatch, PLENTY)
    for path in ("scans", "cases", "alerts", "connections", f"connections/{id}/test", "replays"):
        error = refusal(api.a.post(f"/api/v1/{path}", json=[{"id": "1"}]), 507, "full")
        assert "are missing to the" in error["message"]
        assert "`hub free-space`" in error["message"]
    refusal(api.a.patch(f"/api/v1/connections/{id}", json={}), 507, "full")
    refusal(api.a.delete(f"/api/v1/connections/{id}"), 507, "full")
    refusal(api.nobody.post("/api/v1/scans", json={}), 401, "unauthorized")
    assert len(api.a.get("/api/v1/scans").json()["items"]) == 2
    assert [found["what"] for found in api.a.get("/api/v1/health").json()["trouble"]] == ["disk"]
    answer = api.sync(id)
    assert (answer.status_code, answer.json()["success"]) == (200, False)
    assert "are missing to the" in answer.json()["message"]
    assert api.a.get("/api/v1/deliveries").json()["items"] == []
    want_free(monkeypatch, "1")
    assert api.sync(id).json()["count"] == 2


def test_what_the_disk_did_not_take_is_not_answered_with_2xx(
    disk: Path, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    want_free(monkeypatch, "0")
    fill(disk, leaving=2 * MIB)
    rows = [{"id": str(at), "scan_type": "email", "notes": "x" * 4000} for at in range(1000)]
    error = refusal(api.a.post("/api/v1/scans", json=rows), 507, "full")
    assert "is full; nothing was written" in error["message"]
    assert api.a.get("/api/v1/scans").json()["items"] == []


def test_a_key_of_a_refused_request_may_be_used_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    key, body = {"Idempotency-Key": "one"}, {"id": "1", "scan_type": "email", "email": "a@x.net"}
    want_free(monkeypatch, PLENTY)
    refusal(api.a.post("/api/v1/scans", json=body, headers=key), 507, "full")
    want_free(monkeypatch, "1")
    assert api.a.post("/api/v1/scans", json=body, headers=key).json()["new"] == 1


def test_a_run_that_is_under_way_stops_before_its_next_call(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.connect("slack")
    workplace.alerts(3)
    real, calls = send.BatchDelivery, []

    def fill_up(connector: Connector, items: list[Item]) -> send.BatchDelivery:
        calls.append(items)
        want_free(monkeypatch, PLENTY)
        return real(connector, items)

    monkeypatch.setattr(send, "BatchDelivery", fill_up)
    result = workplace.sync("slack")
    assert (result.success, result.count, len(calls)) == (False, 1, 1)
    assert workplace.states("slack") == ["delivered", "pending", "pending"]
    assert [row.attempt_count for row in workplace.deliveries("slack")] == [1, 0, 0]
    monkeypatch.undo()
    monkeypatch.setenv("HUB_EGRESS_ALLOW", "127.0.0.1/32")
    row = workplace.row("slack")
    assert (row.problem, row.run_id, row.failures) == (None, None, 0)


def test_the_terminal_says_it_and_gives_the_reserve_back(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    hub.done("init")
    assert (tmp_path / "hub.db.ballast").stat().st_size == MIB
    file = hub.write("scans.ndjson", {"id": "1", "scan_type": "email", "email": "a@x.net"})
    refused = hub.refused("import", "scans", file, HUB_MIN_FREE_MB=PLENTY)
    assert "are missing to the" in refused
    ended = hub("connections", HUB_MIN_FREE_MB=PLENTY)
    assert (ended.returncode, "are missing to the" in ended.stderr) == (0, True)
    freed = hub.done("free-space", "--json")
    assert '"missing_bytes": 0' in freed
    assert not (tmp_path / "hub.db.ballast").exists()
    assert "1 new" in hub.done("import", "scans", file)
