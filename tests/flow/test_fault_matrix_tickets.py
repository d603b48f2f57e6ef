"""The fault matrix, tickets: a tracker is searched before a second ticket is made."""

import re
from dataclasses import dataclass, field

import orjson
import pytest

from core import connections
from core.delivery import history
from tests.support.fault_matrix import (
    DOUBT,
    GATEWAY,
    HURRIED_S,
    PAUSED,
    RETRY,
    Outcome,
    Place,
    assert_outcome,
    database,
    engines,
    place,
)
from tests.support.fault_server import Peer, Script, http, json_answer, serving

__all__ = ["database", "engines", "place"]

KEY = re.compile(rb"fiq-(?:scan|case|alert)-[0-9a-z-]+")


def body_of(peer: Peer) -> bytes:
    return peer.request.partition(b"\r\n\r\n")[2]


@dataclass
class Tracker:
    """Just enough of Jira: creates and finds by label; `trouble` comes once, before or after it accepts."""

    trouble: Script
    accepts_first: bool
    created: list[bytes] = field(default_factory=list)
    searches: int = 0
    is_well: bool = False

    def __call__(self, peer: Peer) -> None:
        (key, *_) = KEY.findall(body_of(peer))
        if b"/search/jql" in peer.request.split(b"\r\n")[0]:
            self.searches += 1
            return peer.send(self._found(key))
        if self.is_well or self.accepts_first:
            self.created.append(key)
        if self.is_well:
            return peer.send(json_answer(201, '{"id":"1","key":"SEC-1"}'))
        return self.trouble(peer)

    def _found(self, key: bytes) -> bytes:
        labels = ["fiq", key.decode()]
        issues = [{"key": "SEC-1", "fields": {"labels": labels}}] if key in self.created else []
        # the answer to the search is the last on its connection, so that what comes next is not in doubt
        return json_answer(200, orjson.dumps({"issues": issues}).decode(), "Connection: close")


def _hangs(peer: Peer) -> None:
    peer.hang()


def _resets(peer: Peer) -> None:
    peer.reset()


def _says(answer: bytes) -> Script:
    return lambda peer: peer.send(answer)


LOOKS = " The hub looks for it before it creates it again."
NO_KEY = "Jira answered without an issue key. The issue may exist; the hub looks for it."
NOT_ITS_FORM = "Jira answered 201, but not in its own form. The record may have arrived; look for it there."
JIRA: dict[str, tuple[Script, Outcome, str]] = {
    "no answer": (_hangs, DOUBT, "Jira: sent, no answer within 0.3 s: it may have arrived."),
    "reset": (
        _resets,
        DOUBT,
        "Jira: sent, the connection broke without an answer: it may have arrived. "
        "If this port wants https://, correct the address.",
    ),
    "500": (_says(http(500)), DOUBT, "Jira answered 500. It may have been accepted."),
    "502": (_says(http(502)), GATEWAY, "Jira answered 502. It may have been accepted."),
    "504": (_says(http(504)), GATEWAY, "Jira answered 504. It may have been accepted."),
    "408": (_says(http(408)), DOUBT, "Jira answered 408. It may have been accepted."),
    "broken JSON": (_says(json_answer(201, '{"key": "SE')), DOUBT, NOT_ITS_FORM),
    "no key": (_says(json_answer(201, "{}")), DOUBT, NO_KEY),
    "body breaks off": (
        _says(b'HTTP/1.1 201 C\r\nContent-Length: 90\r\n\r\n{"key"'),
        DOUBT,
        "Jira answered 201, but the answer broke off. It may have been accepted.",
    ),
    "endless body": (
        _says(b"HTTP/1.1 201 C\r\n\r\n" + b"x" * 1_100_000),
        DOUBT,
        "Jira answered 201, but the answer is longer than 1 MiB. It may have been accepted.",
    ),
}


@pytest.mark.parametrize("accepted", [True, False], ids=["accepted", "not accepted"])
@pytest.mark.parametrize("trouble", JIRA)
def test_a_ticket_whose_answer_was_lost_is_never_made_twice(
    place: Place, trouble: str, accepted: bool
) -> None:
    script, expected, said = JIRA[trouble]
    tracker = Tracker(script, accepted)
    if script is _hangs:
        place.hurry(HURRIED_S)
    with serving(tracker) as server:
        place.join("jira", server.url)
        place.fill("jira")
        assert_outcome(place, "jira", expected.saying(said + LOOKS))
        assert len(tracker.created) == accepted
        tracker.is_well = True
        place.recover("jira")
    row = place.only("jira")
    assert (row.state, row.vendor_id, len(tracker.created)) == ("delivered", "SEC-1", 1)
    assert tracker.searches == (1 if accepted else 3)
    assert row.reason is None


@pytest.mark.parametrize(
    ("status", "expected"),
    [(503, RETRY), (425, RETRY), (429, None), (401, PAUSED), (404, PAUSED), (409, RETRY)],
)
def test_a_ticket_that_was_certainly_not_made_is_made_without_a_look(
    place: Place, status: int, expected: Outcome | None
) -> None:
    tracker = Tracker(_says(http(status)), accepts_first=False)
    with serving(tracker) as server:
        place.join("jira", server.url)
        place.fill("jira")
        place.sync("jira", "scheduled")
        row = place.only("jira")
        if expected:
            assert (row.state, row.attempt_count) == (expected.state, expected.attempts)
        tracker.is_well = True
        place.recover("jira")
    assert (place.states("jira"), len(tracker.created), tracker.searches) == (["delivered"], 1, 0)


def test_a_ticket_given_up_in_doubt_is_looked_for_when_it_is_replayed(place: Place) -> None:
    tracker = Tracker(_hangs, accepts_first=True)
    place.hurry(HURRIED_S)
    with serving(tracker) as server:
        place.join("jira", server.url)
        connections.edit(place.who, place.ids["jira"], options={"retry": {"attempts": 1}})
        place.fill("jira")
        place.sync("jira", "scheduled")
        row = place.only("jira")
        assert row.state == "dead"
        assert str(row.reason).startswith("Given up after 1 attempt. Last answer: Jira: sent, no answer")
        assert str(row.reason).endswith("It may be there; a replay looks for it before it creates one.")
        tracker.is_well = True
        assert row.id is not None
        history.replay_one(place.who, row.id)
        place.recover("jira")
    assert (place.states("jira"), len(tracker.created)) == (["delivered"], 1)


def test_a_proxys_403_page_is_not_taken_for_jiras_word(place: Place) -> None:
    tracker = Tracker(_says(http(403, b"<html>Blocked</html>", "Content-Type: text/html")), False)
    with serving(tracker) as server:
        place.join("jira", server.url)
        place.fill("jira")
        said = (
            "Something between the hub and Jira answered 403 with a web page. "
            "Correct the address, or let the proxy or firewall pass the hub through."
        )
        assert_outcome(place, "jira", PAUSED.saying(said))
