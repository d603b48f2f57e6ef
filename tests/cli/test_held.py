"""`hub release` and `hub discard`: what is held, decided at a terminal."""

import pytest
from sqlalchemy import select
from sqlmodel import col

from core.storage import db
from core.storage.models import Connection, Delivery, State, User
from tests.cli.test_cli import at_terminal, bare, hub, made
from tests.support import sendings
from tests.support.terminal import Hub

__all__ = ["bare", "hub", "made"]
JIRA = (
    "connect",
    "jira",
    "--name",
    "Desk",
    "--no-test",
    "--secret",
    "api_token=t",
    "--set",
    "project_key=SEC",
)
ADDRESS = ("--set", "url=https://x.atlassian.net", "--set", "email=a@example.com")


@pytest.fixture
def desk(hub: Hub) -> Hub:
    """A Jira with three tickets that wait for a person."""
    hub.done(*JIRA, *ADDRESS)
    with db.session() as session:
        row = session.execute(select(Connection)).scalar_one()
        owner = session.execute(select(User)).scalar_one()
        record = sendings.scan(session, owner.id, "ines.novak@example.net")
        for _ in range(3):
            sendings.delivery(session, row, record, State.HELD, payload='{"key":"x","summary":"y"}')
    return hub


def states() -> list[str]:
    with db.reading() as session:
        return list(session.execute(select(col(Delivery.state))).scalars())


def test_a_discard_asks_first_and_says_what_is_lost_and_how_it_is_taken_back(desk: Hub) -> None:
    refused = desk.refused("discard", "Desk")
    assert (
        '"Desk": nothing was discarded: there is no terminal to ask at. Add --yes if you mean it.' in refused
    )
    assert "3 tickets are not created in Jira." in at_terminal(desk, "discard", "Desk", typed="n\n")
    assert states() == ["held"] * 3
    told = desk.done("discard", "Desk", "--yes")
    assert "3 discarded" in told
    assert 'replay "Desk" --state skipped --reason "Discarded by"' in told
    assert states() == ["skipped"] * 3
    assert "3 deliveries are back in the queue" in desk.done(
        "replay", "Desk", "--state", "skipped", "--reason", "Discarded by"
    )


def test_one_of_them_alone(desk: Hub) -> None:
    told = desk.done("discard", "Desk", "--delivery", "2", "--yes", "--json")
    assert '"records": 1' in told
    assert states() == ["held", "skipped", "held"]


def test_nothing_held_is_said_before_anybody_is_asked(desk: Hub) -> None:
    desk.done("release", "Desk")
    assert 'Nothing is held for "Desk" any more' in desk.refused("discard", "Desk")
