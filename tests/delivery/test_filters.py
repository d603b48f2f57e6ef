"""What a connection wants: the rule, and the part of it that the database judges."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from core import records
from core.delivery.filters import Filter
from core.integrations.mapping import has_risen
from core.integrations.options import Options
from core.records.tables import TABLES
from core.storage import db
from core.storage.models import RECORD_TABLES, Kind
from core.storage.models.words import SEVERITIES

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WORDS = st.sampled_from([None, "", *SEVERITIES, "High", "unknown", "Info"])
STATUS = st.sampled_from([None, "", "completed", "COMPLETED", "open", "Open", "running", "closed"])
ROWS = {
    Kind.SCAN: st.fixed_dictionaries(
        {"severity": WORDS, "status": STATUS, "high_risk_count": st.sampled_from([None, 0, 1, 4, 5, 15])}
    ),
    Kind.CASE: st.fixed_dictionaries({"priority": WORDS, "status": STATUS, "title": st.just("t")}),
    Kind.ALERT: st.fixed_dictionaries(
        {
            "severity": WORDS,
            "is_read": st.booleans(),
            "is_resolved": st.booleans(),
            "alert_type": st.just("x"),
        }
    ),
}
OPTIONS = st.builds(
    Options,
    min_severity=st.sampled_from([None, *SEVERITIES]),
    high_risk_threshold=st.sampled_from([0, 1, 5, 15]),
)


@pytest.mark.parametrize("kind", list(Kind))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_the_database_leaves_out_nothing_that_is_wanted(kind: Kind, data: st.DataObject, people) -> None:
    rows = data.draw(st.lists(ROWS[kind], min_size=1, max_size=12))
    mine = Filter(kind, data.draw(OPTIONS), None, data.draw(st.sampled_from([None, NOW])))
    given_rows = [{"id": str(number), "created_at": "2026-01-01"} | row for number, row in enumerate(rows)]
    with db.session() as session:
        session.execute(delete(RECORD_TABLES[kind]))
        records.store(session, kind, given_rows, default_owner=people.a.user_id)
        upto = records.head(session)
        everything = records.changes(session, kind, after=0, owner_id=None, limit=100)
        walked = records.changes(
            session, kind, after=0, owner_id=None, limit=100, upto=upto, where=mine.may_fit(TABLES[kind])
        )
    wanted = {row["id"] for row in everything if mine.wants(row)}
    assert wanted <= {row["id"] for row in walked}
    assert len(everything) == len(rows)


@pytest.mark.parametrize(
    ("kind", "before", "after", "expected"),
    [
        ("scan", {"status": "running"}, {"status": "completed"}, True),
        ("scan", {"status": "completed"}, {"status": "running"}, False),
        (
            "scan",
            {"status": "completed", "high_risk_count": 3},
            {"status": "completed", "high_risk_count": 4},
            True,
        ),
        (
            "scan",
            {"status": "completed", "high_risk_count": 4},
            {"status": "completed", "high_risk_count": 3},
            False,
        ),
        ("case", {"status": "closed"}, {"status": "open"}, True),
        ("case", {"status": "open", "title": "a"}, {"status": "open", "title": "b"}, False),
        ("case", {"status": "open", "priority": "low"}, {"status": "open", "priority": "high"}, True),
        ("alert", {"severity": "low"}, {"severity": "critical"}, True),
        ("alert", {"is_read": True}, {"is_read": False}, True),
        ("alert", {"severity": "low"}, {"severity": "critical", "is_read": True}, False),
        ("alert", {"alert_type": "profile_change"}, {"alert_type": "data_breach"}, True),
    ],
)
def test_a_record_rises_when_more_connections_may_want_it(kind, before, after, expected) -> None:
    assert has_risen(kind, before, after) is expected


def test_each_reason_why_a_record_stays_is_said() -> None:
    record = {"owner_id": "a", "received_at": NOW, "risen_at": None, "severity": "low", "alert_type": "x"}
    scope = Filter(Kind.ALERT, Options(), "b", None)
    start = Filter(Kind.ALERT, Options(start_from="2026-11-21"), None, NOW + timedelta(days=1))
    least = Filter(Kind.ALERT, Options(min_severity="high"), None, None)
    event = Filter(Kind.ALERT, Options(), None, None, ("footprintiq.alert.data_breach",))
    said = [each.why_not(record) or "" for each in (scope, start, least, event)]
    for reason, word in zip(
        said, ("somebody else's", "from 2026-11-21 on", "severity is low", "its event"), strict=True
    ):
        assert word in reason
    assert Filter(Kind.ALERT, Options(), "a", NOW).wants(record)
    assert not start.wants(record | {"risen_at": NOW})
    assert start.wants(record | {"risen_at": NOW + timedelta(days=2)})
