"""What a person does is in the audit log, once: who, what, and how many; what the hub does by itself is not."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from core import connections
from core.delivery import history, housekeeping, sync
from core.delivery.batch import LeaseLost
from core.delivery.history import ReplayFilter, replays
from core.platform.errors import Conflict, Full, Invalid
from core.records import intake
from core.storage import db, disk
from core.storage.models import AuditEntry, Connection, Kind
from tests.support.api_client import on_sqlite
from tests.support.live import ROOT
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["on_sqlite", "sandbox", "workplace"]

Entry = tuple[str, str, str, dict[str, Any]]


@pytest.fixture
def since(workplace: Workplace) -> Callable[[], list[Entry]]:
    """What was written since the last call: (who, what, about which thing, details)."""
    seen = [0]

    def read() -> list[Entry]:
        with db.reading() as session:
            wanted = select(AuditEntry).where(col(AuditEntry.id) > seen[0]).order_by(col(AuditEntry.id))
            rows = session.execute(wanted).scalars().all()
        seen[0] = max([seen[0], *(row.id or 0 for row in rows)])
        return [(row.actor, row.action, row.subject, row.details) for row in rows]

    return read


Since = Callable[[], list[Entry]]


def test_a_persons_sync_is_one_row_with_what_it_did(workplace: Workplace, since: Since) -> None:
    ref = workplace.connect("splunk")
    workplace.scans(3)
    since()
    result = sync.run(ref, "manual", who=workplace.who)
    ((who, action, subject, details),) = since()
    assert (who, action, subject) == (workplace.who.email, "connection.sync", ref)
    assert (details["records"], details["dead"], details["name"]) == (3, 0, workplace.row("splunk").name)
    assert details["run"] == result.metadata["run_id"]
    sync.run(ref, "scheduled")
    assert since() == []


def test_a_sync_that_failed_or_was_broken_off_says_why(
    workplace: Workplace, since: Since, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = workplace.connect("splunk")
    workplace.scans(1)
    workplace.sandbox.fault("splunk", "403", times=1)
    since()
    result = sync.run(ref, "manual", who=workplace.who)
    assert not result.success
    ((_, _, _, details),) = since()
    assert details["records"] == 0
    assert details["error"].startswith("Splunk answered 403")

    def no_room() -> None:
        raise Full("The disk is nearly full.")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "require", no_room)
        sync.run(ref, "manual", who=workplace.who)
    assert [entry[3]["error"] for entry in since()] == ["The disk is nearly full."]

    def lost(*_: object) -> None:
        raise LeaseLost

    with monkeypatch.context() as patch:
        patch.setattr(sync, "deliver", lost)
        sync.run(ref, "manual", who=workplace.who)
    assert [entry[3]["error"] for entry in since()] == ["Another worker took this sync over."]


def test_a_sync_that_did_not_begin_is_no_act(workplace: Workplace, since: Since) -> None:
    ref = workplace.connect("splunk")
    connections.disable(workplace.who, ref)
    since()
    with pytest.raises(Conflict):
        sync.run(ref, "manual", who=workplace.who)
    assert since() == []


def test_a_test_is_one_row_with_the_step_that_failed(workplace: Workplace, since: Since) -> None:
    ref = workplace.connect("splunk")
    since()
    steps = connections.test(workplace.who, ref)
    assert since() == [
        (
            workplace.who.email,
            "connection.test",
            ref,
            {"name": workplace.row("splunk").name, "passed": True, "steps": len(steps)},
        )
    ]
    workplace.sandbox.fault("splunk", "403")
    connections.test(workplace.who, ref)
    ((_, _, _, details),) = since()
    assert (details["passed"], bool(details["failed"])) == (False, True)


def test_a_test_of_a_secret_that_does_not_open_is_a_test_too(workplace: Workplace, since: Since) -> None:
    ref = workplace.connect("splunk")
    with db.session() as session:
        row = session.get_one(Connection, ref)
        row.credentials_encrypted = (row.credentials_encrypted or "")[:-4] + "AAAA"
        session.add(row)
    since()
    connections.test(workplace.who, ref)
    ((_, action, _, details),) = since()
    assert (action, details["failed"]) == ("connection.test", "credentials")


def test_a_test_that_is_left_in_the_middle_is_there_too(workplace: Workplace, since: Since) -> None:
    ref = workplace.connect("splunk")
    since()
    stages = connections.stages(workplace.who, ref)
    next(stages)
    stages.close()  # the tab is closed
    ((_, action, _, details),) = since()
    assert (action, details["passed"]) == ("connection.test", False)


def test_a_test_of_what_is_not_saved_names_the_tool(workplace: Workplace, since: Since) -> None:
    values = workplace.sandbox.credentials("splunk")
    connections.test_draft(workplace.who, "splunk", values)
    ((who, action, subject, details),) = since()
    assert (who, action, subject) == (workplace.who.email, "connection.test", "splunk")
    assert details["passed"] is True
    assert values["token"] not in str(details)
    with pytest.raises(Invalid):
        connections.test_draft(workplace.who, "splunk", {})
    assert since() == []


def test_a_preview_is_one_row_with_how_many_records_it_showed(workplace: Workplace, since: Since) -> None:
    ref = workplace.connect("splunk")
    workplace.scans(5)
    since()
    connections.preview(workplace.who, ref, 3)
    name = workplace.row("splunk").name
    assert since() == [(workplace.who.email, "connection.preview", ref, {"name": name, "records": 3})]
    assert connections.count_next(workplace.who, ref, 1_000) == 5
    assert since() == []
    values = workplace.sandbox.credentials("splunk")
    connections.preview_draft(workplace.who, "splunk", values, {})
    ((_, action, subject, details),) = since()
    assert (action, subject, details["records"]) == ("connection.preview", "splunk", 3)
    connections.preview_draft(workplace.who, "splunk", values, {}, is_drawn_again=True)
    assert since() == []


def test_an_import_is_one_row_with_what_became_of_the_lines(
    workplace: Workplace, since: Since, tmp_path: Path
) -> None:
    file = tmp_path / "scans.ndjson"
    file.write_text('{"id": "1", "status": "completed"}\n{"id": "2", "status": "completed"}\n{"id": ""}\n')
    intake.import_file(workplace.who, Kind.SCAN, file)
    counts = {"total": 3, "new": 2, "changed": 0, "same": 0, "refused": 1}
    assert since() == [
        (workplace.who.email, "records.import", "scans.ndjson", {"kind": "scan", **counts}),
    ]


def test_an_import_that_was_broken_off_says_how_far_it_came(
    workplace: Workplace, since: Since, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "BATCH", 2)
    file = tmp_path / "scans.ndjson"
    file.write_text("".join(f'{{"id": "{at}", "status": "completed"}}\n' for at in range(6)))

    def interrupt(_done: int, _size: int | None, so_far: intake.Imported) -> None:
        if so_far.new == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        intake.import_file(workplace.who, Kind.SCAN, file, interrupt)
    ((_, action, _, details),) = since()
    assert (action, details["new"]) == ("records.import", 4)


def test_replays_say_how_many(workplace: Workplace, since: Since) -> None:
    ref = workplace.connect("jira", batch_limit=100)
    workplace.cases(52)
    workplace.sync("jira")
    since()
    assert history.discard(workplace.who, ref) == 52
    ((who, action, subject, details),) = since()
    assert (who, action, subject) == (workplace.who.email, "connection.discard", ref)
    assert details == {"name": workplace.row("jira").name, "records": 52}
    begun = replays.begin(workplace.who, ReplayFilter.of({"connection": ref, "state": "skipped"}))
    ((who, action, subject, details),) = since()
    assert (who, action, subject) == (workplace.who.email, "deliveries.replay", str(begun.replays[0].id))
    assert (details["connection"], details["records"]) == (ref, 52)


def test_released_tickets_are_counted(workplace: Workplace, since: Since) -> None:
    ref = workplace.connect("jira", batch_limit=100)
    workplace.cases(51)
    workplace.sync("jira")
    since()
    history.release(workplace.who, ref)
    ((_, action, subject, details),) = since()
    assert (action, subject, details["records"]) == ("connection.release", ref, 51)


def test_what_waits_and_is_dropped_is_counted(workplace: Workplace, since: Since) -> None:
    ref = workplace.connect("splunk")
    workplace.scans(3)
    workplace.sandbox.fault("splunk", "503")
    workplace.sync("splunk")
    connections.disable(workplace.who, ref)
    since()
    connections.enable(workplace.who, ref, backlog="skip")
    ((_, action, _, details),) = since()
    assert (action, details["backlog"], details["skipped"]) == ("connection.enable", "skip", 3)
    connections.delete(workplace.who, ref)
    ((_, action, _, details),) = since()
    assert (action, details["skipped"]) == ("connection.delete", 0)


def test_the_hubs_own_work_is_not_in_it(workplace: Workplace, since: Since) -> None:
    workplace.connect("splunk")
    workplace.scans(1)
    since()
    workplace.sync("splunk", "scheduled")
    housekeeping.housekeep()
    assert since() == []


def test_the_documentation_lists_every_action() -> None:
    """Found in the code: what is handed to `audit`, and to those that hand it on."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("core/**/*.py"))
    words = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    calls = re.findall(r"audit\((?:[^()\"]|\([^()]*\))*\"([a-z_]+(?:\.[a-z]+)?)\"", code)
    assert {"connection.sync", "connection.preview", "records.pull", "sign_out"} <= set(calls)
    told = {
        f"{first.split('.')[0]}{name}" if name.startswith(".") else name
        for row in re.findall(r"^\| (`[a-z_].*?) \|", words, re.M)
        for first in [re.findall(r"`([^`]+)`", row)[0]]
        for name in re.findall(r"`([^`]+)`", row)
    }
    assert set(calls) - told == {"hub"}  # who, not what
