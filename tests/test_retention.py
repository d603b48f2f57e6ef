"""Old content goes, keys stay, and nothing is sent again because of it."""

from datetime import timedelta

from sqlalchemy import func, select, update
from sqlmodel import col

from core import db, retention, sync
from core.models import Attempt, Delivery, RunLog, SiemEvent, TicketLink
from tests.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]


def age(days: int) -> None:
    """All that was written moves into the past."""
    with db.session() as session:
        past = db.now(session) - timedelta(days=days)
        session.execute(update(Delivery).values(created_at=past))
        session.execute(
            update(Delivery).where(col(Delivery.delivered_at).is_not(None)).values(delivered_at=past)
        )
        session.execute(update(Attempt).values(started_at=past))
        session.execute(update(RunLog).values(created_at=past))


def number(table: type) -> int:
    with db.reading() as session:
        return session.execute(select(func.count()).select_from(table)).scalar_one()


def test_what_is_old_loses_its_content_and_is_not_sent_again(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.connect("jira")
    workplace.scans(3)
    workplace.cases(1)
    workplace.sync("splunk")
    workplace.sync("jira")
    age(91)
    workplace.scans(1)
    workplace.sync("splunk")
    assert sync.sweep() == 4 + 2 + 2  # deliveries, attempts, run logs
    assert [row.payload is None for row in workplace.deliveries("splunk")] == [True, True, True, False]
    assert (number(Attempt), number(RunLog), number(TicketLink)) == (1, 1, 1)
    with db.reading() as session:
        emptied = session.execute(select(func.count()).where(SiemEvent.raw_data.is_(None))).scalar_one()
    assert emptied == 3
    assert sync.sweep() == 0
    with db.session() as session:
        connection = session.get_one(type(workplace.row("splunk")), workplace.ids["splunk"])
        connection.export_cursor = 0  # as after an edit of the filter: everything is looked at again
    assert workplace.sync("splunk").count == 0
    assert len(workplace.sandbox.accepted("splunk")) == 4


def test_what_still_waits_keeps_its_content(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.scans(1)
    workplace.sandbox.fault("splunk", "503", times=1)
    workplace.sync("splunk")
    age(91)
    sync.sweep()
    assert workplace.deliveries("splunk")[0].payload is not None
    workplace.pass_time(minutes=10)
    assert workplace.sync("splunk").count == 1


def test_a_sweep_that_finds_nothing_old_writes_nothing(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.scans(2)
    workplace.sync("splunk")
    age(89)
    assert sync.sweep() == 0
    with db.session() as session:
        assert retention.sweep(session, db.now(session), 90) == 0
