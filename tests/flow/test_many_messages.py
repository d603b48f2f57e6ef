"""Tools that take one message per request: many in a claim, several on their way at once, each with its own story."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlmodel import col

from core import access, connections
from core.access import LOCAL
from core.delivery import history, housekeeping, pace, send, sync
from core.storage import db
from core.storage.models import Attempt, Delivery
from tests.support.fault_server import FaultServer, Peer, http, serving
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

WELL = http(200, b"{}", "Content-Type: application/json")


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim has the time that it needs, on a busy machine too."""
    monkeypatch.setattr(send, "CLAIM_S", 600.0)


def attempts(workplace: Workplace, slug: str) -> list[Attempt]:
    with db.reading() as session:
        mine = (
            select(Attempt).where(col(Attempt.connection_id) == workplace.ids[slug]).order_by(col(Attempt.id))
        )
        return list(session.execute(mine).scalars())


def story(workplace: Workplace, row: Delivery) -> list[tuple[str, int, list[int | None]]]:
    """Each attempt of a delivery as people read it: outcome, records in it, the answers."""
    assert row.id is not None
    return [
        (each.outcome, each.items, [call["status"] for call in each.exchanges])
        for each in history.one(workplace.who, row.id).attempts
    ]


def to(workplace: Workplace, server: FaultServer) -> None:
    workplace.connect("webhook", batch_limit=1_000, storm="off")
    connections.edit(workplace.who, workplace.ids["webhook"], values={"url": f"{server.url}/hook"})


def test_a_claim_has_many_and_each_its_own_call(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "FIRST", 60)
    workplace.connect("webhook", batch_limit=100, storm="off")
    workplace.alerts(60)
    assert workplace.sync("webhook").count == 60
    (attempt,) = attempts(workplace, "webhook")
    assert attempt.items == 60
    keys = [accepted.key for accepted in workplace.sandbox.accepted("webhook")]
    assert sorted(keys) == sorted(row.key for row in workplace.deliveries("webhook"))
    for row in workplace.deliveries("webhook")[::20]:
        ((outcome, items, [status]),) = story(workplace, row)
        assert (outcome, items, status // 100) == ("closed", 1, 2)


def test_a_rate_is_kept_by_claims_of_many(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "FIRST", 25)
    workplace.connect("slack", batch_limit=100, storm="off")  # 60 a minute, ten of them at once
    workplace.alerts(30)
    assert workplace.sync("slack").count == 10
    assert (workplace.row("slack").wait_reason, len(workplace.sandbox.accepted("slack"))) == ("rate", 10)
    (attempt,) = attempts(workplace, "slack")
    assert attempt.items == 10


def test_what_was_not_tried_is_not_charged(workplace: Workplace) -> None:
    workplace.connect("slack", batch_limit=100, storm="20/5m")
    workplace.alerts(8)
    workplace.sandbox.fault("slack", "503", times=1)
    workplace.sync("slack")
    assert workplace.states("slack") == ["retrying"] + ["pending"] * 7
    row = workplace.row("slack")
    assert (len(row.lately), row.rate_until is not None) == (1, True)
    workplace.pass_time(minutes=5)
    while workplace.sync("slack").count:
        workplace.pass_time(seconds=30)
    assert workplace.states("slack") == ["delivered"] * 8


def test_one_that_is_refused_stops_no_other_and_is_told_again_after_its_replay(workplace: Workplace) -> None:
    bad: list[str] = []

    def judge(peer: Peer) -> None:
        peer.send(http(422, b"no") if bad[0].encode() in peer.request else WELL)

    with serving(judge) as server:
        to(workplace, server)
        ids = workplace.alerts(10)
        bad.append(ids[4])
        assert workplace.sync("webhook").count == 9
        (row,) = [row for row in workplace.deliveries("webhook") if row.state == "dead"]
        assert story(workplace, row) == [("closed", 1, [422])]
        bad[0] = "nothing"
        assert row.id is not None
        history.replay_one(workplace.who, row.id)
        assert workplace.sync("webhook").count == 1
    assert story(workplace, row) == [("closed", 1, [422]), ("closed", 1, [200])]


def test_a_worker_that_dies_leaves_its_claim_in_doubt_and_each_message_says_so(workplace: Workplace) -> None:
    workplace.connect("webhook", batch_limit=100, storm="off")
    workplace.alerts(5)
    begun = sync._start(workplace.ids["webhook"], "manual", None, lambda: False, 60.0)
    sync.export(begun)
    claim = send.claim(begun)
    assert claim is not None
    assert len(claim.rows) == 5
    workplace.pass_time(minutes=2)
    housekeeping.housekeep()
    assert workplace.states("webhook") == ["in_doubt"] * 5
    workplace.pass_time(minutes=10)
    assert workplace.sync("webhook").count == 5
    for row in workplace.deliveries("webhook"):
        assert [outcome for outcome, _, _ in story(workplace, row)] == ["unknown", "closed"]
        assert row.attempt_count == 2


def test_what_was_answered_before_a_worker_died_stays_answered(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "FLUSH_RECEIPTS", 2)
    workplace.connect("webhook", batch_limit=100, storm="off")
    workplace.alerts(5)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(send.Send, "close", dies)
        with pytest.raises(KeyboardInterrupt):
            workplace.sync("webhook")
    assert workplace.states("webhook") == ["delivered"] * 4 + ["sending"]
    workplace.pass_time(minutes=2)
    housekeeping.housekeep()
    rows = workplace.deliveries("webhook")
    assert [row.state for row in rows] == ["delivered"] * 4 + ["in_doubt"]
    assert [story(workplace, row) for row in rows] == [[("closed", 1, [204])]] * 4 + [[("unknown", 1, [])]]


def test_a_slow_vendor_is_called_several_times_at_once_and_never_more_than_it_takes(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "OWN_MS", 0.001)  # any call is slow
    together, most, lock = 0, 0, threading.Lock()
    eleven, is_slow = threading.Event(), threading.Event()

    def answer(peer: Peer) -> None:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
            if together > 10:
                eleven.set()
        if is_slow.is_set():
            eleven.wait(1)  # for one more than may come, as long as a machine may take to send ten
            is_slow.clear()
        peer.send(WELL)
        with lock:
            together -= 1

    real = send.Send.close_patiently

    def then_slow(call: send.Send, learned: int | None) -> None:
        is_slow.set()
        real(call, learned)

    monkeypatch.setattr(send.Send, "close_patiently", then_slow)
    with serving(answer, keep_alive=True) as server:
        to(workplace, server)
        workplace.alerts(120)
        assert workplace.sync("webhook").count == 120
        requests = [request for request in server.requests if b"webhook-id" in request]
    assert 4 <= most <= 10
    assert len(requests) == 120
    told = [story(workplace, row) for row in workplace.deliveries("webhook")]
    assert told == [[("closed", 1, [200])]] * 120  # each its own call, whichever lane made it
    assert workplace.states("webhook") == ["delivered"] * 120


def test_a_fault_that_all_would_meet_stops_all_lanes(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "OWN_MS", 0.001)
    monkeypatch.setattr(pace, "FIRST", 20)
    is_away = threading.Event()

    def answer(peer: Peer) -> None:
        peer.send(http(503, b"away") if is_away.is_set() else WELL)

    with serving(answer, keep_alive=True) as server:
        to(workplace, server)
        workplace.alerts(30)
        real = send.Send.close_patiently

        def then_away(call: send.Send, learned: int | None) -> None:
            is_away.set()
            real(call, learned)

        monkeypatch.setattr(send.Send, "close_patiently", then_away)
        result = workplace.sync("webhook")
    assert (result.success, result.count) == (False, 20)
    states = workplace.states("webhook")
    assert states.count("delivered") == 20
    # no more than one try by each lane
    assert 1 <= states.count("retrying") <= 10
    assert set(states) <= {"delivered", "retrying", "pending"}


def test_no_message_is_begun_when_the_time_of_its_claim_is_over(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "CLAIM_S", -1.0)
    workplace.connect("webhook", batch_limit=100, storm="off")
    workplace.alerts(3)
    assert workplace.sync("webhook").count == 3
    assert [attempt.items for attempt in attempts(workplace, "webhook")] == [3, 2, 1]


STOPS: dict[str, Callable[[Workplace], object]] = {
    "paused": lambda office: connections.disable(office.who, office.ids["webhook"]),
    "deleted": lambda office: connections.delete(office.who, office.ids["webhook"]),
    "its owner disabled": lambda office: access.disable_user(LOCAL, office.who.email),
    "another address": lambda office: connections.edit(
        office.who,
        office.ids["webhook"],
        values={"url": "https://hooks.example.com/other", "signing_secret": f"whsec_{'A' * 32}"},
    ),
}


@pytest.mark.security
@pytest.mark.parametrize("stop", STOPS)
def test_a_claim_ends_with_the_right_to_send_it(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    """What is on its way is finished; of the sixty that are claimed no other is begun."""
    monkeypatch.setattr(pace, "FIRST", 60)
    monkeypatch.setattr(send, "FLUSH_S", 0.0)
    asked: list[int] = []

    def answer(peer: Peer) -> None:
        asked.append(1)
        if len(asked) == 10:
            STOPS[stop](workplace)
        peer.send(WELL)

    with serving(answer, keep_alive=True) as server:
        to(workplace, server)
        workplace.alerts(60)
        workplace.sync("webhook")
    assert 10 <= len(asked) <= 11
