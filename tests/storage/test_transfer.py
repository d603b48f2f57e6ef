"""A hub that moves from a SQLite file to PostgreSQL takes everything with it and goes on."""

from typing import Any

import pytest
from sqlmodel import SQLModel

from core.platform.errors import Conflict
from core.storage import db, transfer
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = [pytest.mark.postgres, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def everything() -> dict[str, list[dict[str, Any]]]:
    with db.reading() as session:
        return {
            table.name: [
                dict(row)
                for row in session.connection()
                .execute(table.select().order_by(*table.primary_key.columns))
                .mappings()
            ]
            for table in SQLModel.metadata.sorted_tables
        }


@pytest.fixture
def moved(workplace: Workplace, postgres_database: str) -> Workplace:
    """Scans were sent, one waits, and nobody is at work."""
    workplace.connect("splunk", every="1h")
    workplace.connect("jira", every="1h")
    workplace.scans(3)
    workplace.cases(2)
    workplace.sync("splunk")
    workplace.sync("jira")
    workplace.scans(1)
    before = everything()
    copied = transfer.transfer(postgres_database)
    assert copied == {name: len(rows) for name, rows in before.items()}
    assert everything() == before
    assert {name for name, number in copied.items() if not number} <= EMPTY
    return workplace


#: nothing in this scene writes them
EMPTY = {
    *("heartbeats", "hub_messages", "idempotency_keys", "monitoring_alerts", "pull_cursors", "source_pulls"),
    *("api_tokens", "sign_ins", "replays"),
}


def test_it_goes_on_where_it_was_and_sends_nothing_twice(moved: Workplace) -> None:
    assert db.engine().dialect.name == "postgresql"
    moved.sync("splunk")
    moved.scans(1)
    moved.cases(1)
    moved.sync("splunk")
    moved.sync("jira")
    keys = [accepted.key for accepted in moved.sandbox.accepted("splunk")]
    assert (len(keys), len(set(keys))) == (5, 5)
    assert moved.states("jira") == ["delivered"] * 3
    assert len(moved.sandbox.accepted("jira")) == 3


def test_a_database_that_somebody_uses_is_refused(moved: Workplace, postgres_database: str) -> None:
    with pytest.raises(Conflict, match="Name an empty one"):
        transfer.transfer(postgres_database)
    assert len(everything()["webhook_deliveries"]) == 5
