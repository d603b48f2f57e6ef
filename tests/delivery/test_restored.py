"""A database that was put back from a backup: what may have been sent since is looked for before it is sent."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url, select, update
from sqlmodel import col
from typer.testing import CliRunner

from core import cli
from core.access import LOCAL
from core.delivery import history, restored, retention, sync
from core.platform.errors import Forbidden
from core.platform.settings import settings
from core.records import intake
from core.storage import db
from core.storage.models import Attempt, AuditEntry, Delivery, Kind, State
from core.storage.watermark import Watermark
from tests.conftest import People, run_on
from tests.delivery.test_tickets import later, links, made
from tests.support.workplace import CREATED, Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = pytest.mark.slow

Restore = Callable[[], None]


@pytest.fixture
def backup(database: str) -> Iterator[Callable[[], Restore]]:
    """Makes a copy of the database as it is, and returns what puts it back; the hub starts again after that."""
    url = make_url(database)

    def of_file() -> Restore:
        path = Path(str(url.database))
        copy = path.with_suffix(".backup")
        with closing(db.engine().raw_connection()) as raw:
            raw.driver_connection.execute(f"VACUUM INTO '{copy}'")

        def put_back() -> None:
            db.engine().dispose()
            for end in ("-wal", "-shm"):
                Path(f"{path}{end}").unlink(missing_ok=True)
            shutil.copy(copy, path)
            db.configure(database)

        return put_back

    def of_server() -> Restore:
        name, server = url.database, url.set(database="postgres")
        db.engine().dispose()
        run_on(server, f"CREATE DATABASE {name}_backup TEMPLATE {name}")

        def put_back() -> None:
            db.engine().dispose()
            run_on(server, f"DROP DATABASE {name} WITH (FORCE)")
            run_on(server, f"ALTER DATABASE {name}_backup RENAME TO {name}")
            db.configure(database)

        return put_back

    yield of_file if url.get_backend_name() == "sqlite" else of_server
    if url.get_backend_name() != "sqlite":
        run_on(url.set(database="postgres"), f"DROP DATABASE IF EXISTS {url.database}_backup")


def audited() -> list[str]:
    with db.reading() as session:
        wanted = select(col(AuditEntry.actor)).where(col(AuditEntry.action) == "database.restored")
        return list(session.execute(wanted).scalars())


def test_tickets_sent_after_the_backup_are_looked_for_by_the_whole_schedule(
    workplace: Workplace, backup: Callable[[], Restore]
) -> None:
    workplace.connect("jira")
    workplace.cases(2)
    workplace.sandbox.fault("jira", "503", times=1)
    workplace.sync("jira", "scheduled")
    assert workplace.states("jira") == ["retrying", "pending"]
    put_back = backup()
    workplace.pass_time(minutes=2)
    workplace.sync("jira")
    put_back()
    workplace.sandbox.set_index_lag(600)
    workplace.sync("jira")
    assert workplace.states("jira") == ["in_doubt", "in_doubt"]
    assert later(workplace, 1.1, 4.1) == ["in_doubt"] * 4
    workplace.sandbox.set_index_lag(0)
    assert later(workplace, 10.1) == ["delivered"] * 2
    assert len(made(workplace)) == 2
    assert audited() == ["the hub"]


def test_a_backup_that_is_one_call_old_is_noticed_and_a_start_without_one_is_not(
    workplace: Workplace, backup: Callable[[], Restore], database: str
) -> None:
    workplace.connect("slack")
    workplace.alerts(1)
    workplace.sync("slack")
    db.configure(database)
    assert restored.notice() is None
    put_back = backup()
    workplace.alerts(1)
    workplace.sync("slack")
    put_back()
    assert restored.notice() is not None
    db.configure(database)
    assert restored.notice() is None


def test_each_tool_resolves_what_may_have_been_sent_in_its_own_way(
    workplace: Workplace, backup: Callable[[], Restore]
) -> None:
    for slug in ("jira", "zendesk", "slack"):
        workplace.connect(slug)
        workplace.sandbox.fault(slug, "503", times=1)
    workplace.cases(1)
    workplace.alerts(1)
    for slug in ("jira", "zendesk", "slack"):
        workplace.sync(slug, "scheduled")
    put_back = backup()
    workplace.pass_time(minutes=2)
    for slug in ("jira", "zendesk", "slack"):
        workplace.sync(slug)
    put_back()
    found = restored.notice()
    assert found is not None
    assert (found.looked_for, found.same_key, found.may_repeat, found.deliveries) == (1, 1, 1, 3)
    for slug in ("jira", "zendesk", "slack"):
        workplace.sync(slug)
    copies = [len(workplace.sandbox.accepted(slug)) for slug in ("jira", "zendesk", "slack")]
    assert copies == [1, 1, 2]
    (message,) = workplace.deliveries("slack")
    assert message.reason == "An earlier attempt may have arrived, so it may be there twice."


def test_a_case_that_was_queued_only_after_the_backup_is_looked_for_as_well(
    workplace: Workplace, backup: Callable[[], Restore]
) -> None:
    """Also one that the backup does not have, and that comes in once more."""
    workplace.connect("jira")
    workplace.cases(1)
    restored.notice()  # as `hub init` does
    put_back = backup()
    lost = {
        "id": "lost",
        "user_id": workplace.who.user_id,
        "title": "x",
        "status": "open",
        "created_at": CREATED,
    }
    intake.store(workplace.who, Kind.CASE, [lost])
    workplace.sync("jira")
    assert len(made(workplace)) == 2
    put_back()
    workplace.sandbox.set_index_lag(600)
    workplace.sync("jira")
    intake.store(workplace.who, Kind.CASE, [lost])
    workplace.sync("jira")
    assert workplace.states("jira") == ["in_doubt", "in_doubt"]
    fresh = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    workplace.cases(1, created_at=fresh)
    assert workplace.sync("jira").count == 1
    assert len(made(workplace)) == 3
    workplace.sandbox.set_index_lag(0)
    assert later(workplace, 1.1) == ["delivered"] * 3
    assert len(made(workplace)) == 3


@pytest.mark.parametrize("state", [State.HELD, State.DEAD, State.SKIPPED])
def test_a_person_who_decided_after_the_backup_decides_once(
    workplace: Workplace, backup: Callable[[], Restore], state: State
) -> None:
    id = workplace.connect("jira")
    workplace.cases(1)
    workplace.sandbox.fault("jira", "503", times=1)
    workplace.sync("jira", "scheduled")
    with db.session() as session:
        session.execute(update(Delivery).values(state=state, next_attempt_at=None, reason="By hand."))

    def decide() -> None:
        if state is State.HELD:
            history.release(workplace.who, id)
        else:
            history.replay_one(workplace.who, workplace.deliveries("jira")[0].id or 0)

    put_back = backup()
    decide()
    workplace.sync("jira")
    assert made(workplace) == ["SEC-1"]
    put_back()
    restored.notice()
    (row,) = workplace.deliveries("jira")
    assert (row.state, row.reason) == (state, "By hand.")
    decide()
    workplace.sandbox.set_index_lag(600)
    workplace.sync("jira")
    assert workplace.states("jira") == ["in_doubt"]
    workplace.sandbox.set_index_lag(0)
    assert later(workplace, 1.1) == ["delivered"]
    assert [ticket for ticket, _ in links(id)] == made(workplace) == ["SEC-1"]


def test_of_many_threads_one_notices_and_none_sends_before(
    workplace: Workplace, backup: Callable[[], Restore]
) -> None:
    ids = [workplace.connect("jira") for _ in range(4)]
    workplace.cases(1)
    restored.notice()
    put_back = backup()
    for each in ids:
        sync.run(each, "manual")
    put_back()
    together = threading.Barrier(4)

    def start(id: str) -> None:
        together.wait()
        sync.run(id, "manual")

    threads = [threading.Thread(target=start, args=(each,)) for each in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert audited() == ["the hub"]
    assert len(made(workplace)) == 1


def test_an_idle_hub_whose_attempts_are_cleaned_away_is_not_taken_for_a_restored_one(
    workplace: Workplace, database: str
) -> None:
    workplace.connect("slack")
    workplace.alerts(3)
    workplace.sync("slack")
    taken = 1
    while taken:
        with db.session() as session:
            taken = retention.sweep(session, db.now(session) + timedelta(days=91), 90)
    with db.reading() as session:
        assert len(session.execute(select(Attempt)).all()) == 1
    db.configure(database)
    assert restored.notice() is None


def test_a_run_folder_that_cannot_be_used_is_said_once_and_stops_nothing(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    settings().run_folder.write_text("a file in its place")
    workplace.connect("slack")
    workplace.alerts(3)
    assert workplace.sync("slack").count == 3
    assert capsys.readouterr().out.count("mark of what was sent not kept") == 1


def test_a_process_that_starts_while_another_one_sends_sees_no_restore(
    workplace: Workplace, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.connect("slack")
    workplace.alerts(1)
    workplace.sync("slack")
    (mark,) = settings().run_folder.glob("*.mark")
    asked = restored._highest

    def and_one_more_is_sent() -> int:
        highest = asked()
        mark.write_text(f"{highest + 1:020}\n")
        return highest

    monkeypatch.setattr(restored, "_highest", and_one_more_is_sent)
    db.configure(database)
    assert restored.notice() is None


def test_the_mark_only_rises_and_is_of_one_database(tmp_path: Path) -> None:
    mark, other = Watermark(tmp_path / "run", 1), Watermark(tmp_path / "run", 2)
    assert mark.read() == 0
    for number in (7, 12, 9):
        mark.reach(number)
    assert (Watermark(tmp_path / "run", 1).read(), other.read()) == (12, 0)
    assert mark.path.stat().st_mode & 0o777 == 0o600
    mark.put_back(5)
    mark.reach(6)
    assert mark.read() == 6
    mark.path.write_text("damaged")
    assert mark.read() == 0
    mark.reach(3)
    assert mark.read() == 3


def test_a_person_may_say_it_and_say_it_again(workplace: Workplace, people: People) -> None:
    workplace.connect("jira")
    workplace.cases(2)
    workplace.sandbox.fault("jira", "503", times=1)
    workplace.sync("jira", "scheduled")
    with pytest.raises(Forbidden):
        restored.doubt(people.a)
    assert restored.count() == 2
    for _ in range(2):
        assert restored.doubt(people.admin).looked_for == 2
        assert workplace.states("jira") == ["in_doubt", "in_doubt"]
    assert audited() == [people.admin.email] * 2
    assert later(workplace, 1.1, 4.1, 10.1)[-2:] == ["delivered"] * 2
    assert len(made(workplace)) == 2


def test_at_the_terminal_it_tells_what_becomes_of_what(workplace: Workplace) -> None:
    workplace.connect("jira")
    workplace.cases(1)
    workplace.sandbox.fault("jira", "503", times=1)
    workplace.sync("jira", "scheduled")
    told = CliRunner().invoke(cli.app, ["restored"])
    assert told.exit_code == 0
    assert "1 delivery is in doubt." in told.stdout
    assert "1 looked for in their tracker" in told.stdout
    data = json.loads(CliRunner().invoke(cli.app, ["restored", "--json"]).stdout)
    del data["restored_at"]
    assert data == {"in_doubt": 1, "looked_for": 1, "same_key": 0, "may_repeat": 0}
    assert audited() == [LOCAL.email] * 2


def test_init_notices_it_and_says_so(workplace: Workplace, backup: Callable[[], Restore]) -> None:
    workplace.connect("jira")
    workplace.cases(1)
    workplace.sandbox.fault("jira", "503", times=1)
    workplace.sync("jira", "scheduled")
    put_back = backup()
    workplace.sync("jira")
    put_back()
    told = CliRunner().invoke(cli.app, ["init"]).stdout
    assert told.startswith("The database was put back from a backup: 1 delivery is in doubt.")
