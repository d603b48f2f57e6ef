"""The state table: from what a call answered to what becomes of a row."""

from datetime import UTC, datetime, timedelta

import pytest

from core.delivery.outcome import InDoubtPolicy, Row, judge, still_in_doubt
from core.delivery.retry import Policy
from core.http.errors import (
    Contested,
    DeliveryError,
    Gone,
    InDoubt,
    Misconfigured,
    NotTried,
    Rejected,
    Throttled,
    TooLarge,
    Unavailable,
)
from core.integrations.base import Receipt
from core.storage.models import State

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LOOKS = InDoubtPolicy("look_up", (60, 300, 900))
REPEATS = InDoubtPolicy("may_repeat")


def row(attempts: int = 0, look_ups: int = 0, in_doubt_since: datetime | None = None) -> Row:
    return Row(1, "k", "{}", "case", 7, attempts, look_ups, in_doubt_since, NOW)


def verdict(fault: DeliveryError | None, given: Row | None = None, doubt: InDoubtPolicy = LOOKS):
    return judge(
        given or row(), Receipt("k", "SEC-1", fault=fault), doubt=doubt, policy=Policy(), random=0.5, now=NOW
    )


@pytest.mark.parametrize(
    ("fault", "state", "attempts"),
    [
        (None, State.DELIVERED, 1),
        (Rejected("no"), State.DEAD, 1),
        (Contested("not now"), State.RETRYING, 1),
        (TooLarge("too large"), State.DEAD, 1),
        (Unavailable("away"), State.RETRYING, 1),
        (Throttled("slow down"), State.PENDING, 0),
        (Misconfigured("wrong token"), State.PENDING, 0),
        (Gone("gone"), State.PENDING, 0),
        (NotTried("stopped"), State.PENDING, 0),
        (InDoubt("no answer"), State.IN_DOUBT, 1),
    ],
)
def test_a_receipt_decides_the_state_and_what_it_cost(fault, state, attempts) -> None:
    judged = verdict(fault)
    assert (judged.state, judged.attempts) == (state, attempts)
    told = judged.reason or ""
    assert told.startswith(fault.message) if fault else judged.reason is None


@pytest.mark.parametrize("fault", [Throttled("t"), Misconfigured("m"), NotTried("n"), Unavailable("u")])
def test_what_is_in_doubt_stays_so_until_something_is_known(fault) -> None:
    before = NOW - timedelta(minutes=3)
    judged = verdict(fault, row(attempts=1, look_ups=1, in_doubt_since=before))
    assert (judged.state, judged.in_doubt_since, judged.look_ups) == (State.IN_DOUBT, before, 1)


def test_a_lost_answer_is_looked_up_after_a_minute() -> None:
    assert verdict(InDoubt("no answer")).next_attempt_at == NOW + timedelta(seconds=60)


def test_where_nothing_can_be_looked_up_it_is_sent_again_by_the_schedule() -> None:
    judged = verdict(InDoubt("no answer"), doubt=REPEATS)
    assert judged.next_attempt_at is not None
    assert NOW < judged.next_attempt_at <= NOW + timedelta(seconds=5)


@pytest.mark.parametrize("fault", [Unavailable("away"), InDoubt("no answer")])
def test_after_the_last_attempt_it_is_dead_and_says_what_the_last_answer_was(fault) -> None:
    judged = verdict(fault, row(attempts=14))
    assert judged.state is State.DEAD
    assert str(judged.reason).startswith(f"Given up after 15 attempts. Last answer: {fault.message}")


@pytest.mark.parametrize("fault", [InDoubt("no answer"), Unavailable("away"), Rejected("no")])
def test_what_dies_in_doubt_stays_marked_so_that_a_replay_looks_first(fault) -> None:
    judged = verdict(fault, row(attempts=14, in_doubt_since=NOW))
    assert (judged.state, judged.in_doubt_since) == (State.DEAD, NOW)
    assert verdict(InDoubt("no answer"), row(attempts=14)).in_doubt_since == NOW


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("native_key", "sent again under the same key"),
        ("look_up", "looks for it before it creates it again"),
        ("may_repeat", "sent again, and may then be there twice"),
    ],
)
def test_a_lost_answer_says_what_the_hub_does_about_it(mode: str, words: str) -> None:
    assert words in str(verdict(InDoubt("no answer"), doubt=InDoubtPolicy(mode, (60,))).reason)


@pytest.mark.parametrize(
    ("mode", "is_told"), [("native_key", False), ("look_up", False), ("may_repeat", True)]
)
def test_a_possible_duplicate_explains_itself(mode: str, is_told: bool) -> None:
    judged = verdict(None, row(attempts=1, in_doubt_since=NOW), InDoubtPolicy(mode, (60,)))
    assert judged.state is State.DELIVERED
    assert ("may be there twice" in (judged.reason or "")) is is_told
    assert verdict(None, row(attempts=1), InDoubtPolicy(mode, (60,))).reason is None


def test_what_stands_in_the_way_three_times_is_dead() -> None:
    assert [verdict(Contested("409"), row(attempts=done)).state for done in range(3)] == [
        State.RETRYING,
        State.RETRYING,
        State.DEAD,
    ]


def test_look_ups_come_after_one_five_and_fifteen_minutes_then_it_may_be_sent() -> None:
    given, seen = row(attempts=1, in_doubt_since=NOW), []
    for minutes in (1, 5, 15):
        found = still_in_doubt(given, LOOKS, NOW + timedelta(minutes=minutes))
        if found is not None:
            assert found.next_attempt_at is not None
            seen.append((found.next_attempt_at - NOW).total_seconds() / 60)
            given = row(attempts=1, look_ups=found.look_ups, in_doubt_since=NOW)
    assert seen == [5, 15]
    assert found is None


def test_an_early_look_up_does_not_count() -> None:
    found = still_in_doubt(row(attempts=1, in_doubt_since=NOW), LOOKS, NOW + timedelta(seconds=10))
    assert found is not None
    assert (found.look_ups, found.next_attempt_at) == (0, NOW + timedelta(seconds=60))


@pytest.mark.parametrize("mode", ["native_key", "look_up", "may_repeat"])
def test_doubt_ends_with_the_attempts_whatever_the_vendor_offers(mode: str) -> None:
    doubt = InDoubtPolicy(mode, (60, 300, 900))
    assert doubt.first_wait_s(Policy(), 14, 0.5) is not None
    assert doubt.first_wait_s(Policy(), 15, 0.5) is None
