"""The fault matrix, vendors: messages that may repeat, and answers that judge record by record."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import orjson
import pytest

from core.delivery import history
from tests.support.fault_matrix import (
    DOUBT,
    GATEWAY,
    HURRIED_S,
    NOT_SENT,
    PAUSED,
    REJECTED,
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


def _hangs(peer: Peer) -> None:
    peer.hang()


def _says(answer: bytes) -> Script:
    return lambda peer: peer.send(answer)


# Slack and Splunk: sent again, and the row says that it may be there twice

TWICE = "An earlier attempt may have arrived, so it may be there twice."
REPEATS = " It is sent again, and may then be there twice."
WELL: dict[str, bytes] = {
    "slack": http(200, b"ok", "Content-Type: text/plain"),
    "splunk": json_answer(200, '{"text":"Success","code":0}'),
}


@pytest.mark.parametrize(
    ("slug", "trouble", "expected", "said"),
    [
        ("slack", _hangs, DOUBT, "Slack: sent, no answer within 0.3 s: it may have arrived."),
        ("slack", _says(http(500)), DOUBT, "Slack answered 500. It may have been accepted."),
        ("splunk", _hangs, DOUBT, "Splunk: sent, no answer within 0.3 s: it may have arrived."),
        ("splunk", _says(http(504)), GATEWAY, "Splunk answered 504. It may have been accepted."),
        (
            "splunk",
            _says(json_answer(200, '{"text":')),
            DOUBT,
            "Splunk answered 200, but not in its own form. The record may have arrived; look for it there.",
        ),
        (
            "splunk",
            _says(json_answer(200, '{"text":"Odd","code":77}')),
            DOUBT,
            "Splunk answered 200 with code 77; the events may have arrived.",
        ),
    ],
)
def test_a_message_whose_answer_was_lost_may_be_there_twice_and_says_so(
    place: Place, slug: str, trouble: Script, expected: Outcome, said: str
) -> None:
    if trouble is _hangs:
        place.hurry(HURRIED_S)
    with serving(trouble) as server:
        place.join(slug, server.url)
        place.fill(slug)
        assert_outcome(place, slug, expected.saying(said + REPEATS))
        server.script = _says(WELL[slug])
        place.recover(slug)
        row = place.only(slug)
        assert (row.state, row.reason) == ("delivered", TWICE)
        assert sum(row.key.encode() in request for request in server.requests) == 2
        (story,) = history.explain(
            place.who, row.record_kind, history.one(place.who, row.id).record_id
        ).connections
        assert story.sentence.endswith(TWICE)


@pytest.mark.parametrize(
    ("slug", "answer", "expected", "said"),
    [
        (
            "slack",
            http(404, b"no_service"),
            PAUSED,
            "Slack answered 404 (no_service): the webhook was removed. Make a new webhook in Slack and enter "
            "its address.",
        ),
        (
            "slack",
            http(400, b"invalid_payload"),
            REJECTED,
            "Slack answered 400 (invalid_payload): the message could not be read. Correct the mapping, then "
            "replay.",
        ),
        ("slack", http(503), RETRY, "Slack answered 503. What waits is tried again."),
        (
            "slack",
            http(200, b"welcome"),
            PAUSED,
            'Slack answered 200, but not "ok": something else took the message. '
            "Compare the address with the webhook's address in Slack.",
        ),
        (
            "splunk",
            json_answer(503, '{"text":"Server is busy","code":9}'),
            RETRY,
            "Splunk answered 503 (code 9): Splunk is busy. The events wait and are sent again.",
        ),
        (
            "splunk",
            json_answer(403, '{"text":"Token disabled","code":1}'),
            PAUSED,
            "Splunk answered 403 (code 1): the token is disabled. Enable it under Settings > Data inputs > HTTP "
            "Event Collector, then press Test.",
        ),
        (
            "splunk",
            json_answer(400, '{"text":"Event field is required","code":12,"invalid-event-number":0}'),
            REJECTED,
            "Splunk answered 400 (code 12): the event has no content. Correct the mapping, then replay.",
        ),
        (
            "splunk",
            http(404),
            PAUSED,
            "There is no HTTP Event Collector at 127.0.0.1 (answer 404). Correct the address; "
            "the collector listens on port 8088 unless changed.",
        ),
    ],
)
def test_a_vendors_own_words_decide(
    place: Place, slug: str, answer: bytes, expected: Outcome, said: str
) -> None:
    with serving(answer) as server:
        place.join(slug, server.url)
        place.fill(slug)
        assert_outcome(place, slug, expected.saying(said))
        server.script = _says(WELL[slug])
        place.recover(slug)
        assert place.only(slug).state == ("dead" if expected is REJECTED else "delivered")
        assert place.only(slug).reason == (said if expected is REJECTED else None)


# Elastic: each record of a batch has its own answer, and its key keeps it single


def _bulk(judge: Callable[[int, str], int]) -> Script:
    """Answers a bulk request item by item with the status that `judge(place in the batch, key)` gives."""

    def script(peer: Peer) -> None:
        actions = [orjson.loads(line) for line in body_of(peer).splitlines()[::2]]
        keys = [action["create"]["_id"] for action in actions]
        items = [{"create": _item(judge(place, key), key)} for place, key in enumerate(keys)]
        peer.send(json_answer(200, orjson.dumps({"errors": True, "items": items}).decode()))

    return script


def _item(status: int, key: str) -> dict[str, object]:
    error = {} if status < 300 else {"error": {"type": "told_exception", "reason": "why"}}
    return {"_id": key, "status": status, **error}


def test_a_batch_taken_in_part_settles_each_record_alone(place: Place) -> None:
    statuses = [201, 409, 400, 201, 503, 201]
    with serving(_bulk(lambda place, key: statuses[place])) as server:
        place.join("elastic", server.url)
        place.fill("elastic", 6)
        result = place.sync("elastic", "scheduled")
        told = [(row.state, row.attempt_count) for row in place.deliveries("elastic")]
        assert told == [
            *(("delivered", 1), ("delivered", 1), ("dead", 1)),
            *(("delivered", 1), ("retrying", 1), ("delivered", 1)),
        ]
        assert result.message == "4 delivered to Elastic, 1 refused, 1 waiting."
        connection = place.row("elastic")
        assert (connection.failures, connection.wait_reason) == (0, None)
        refused, waiting = (place.deliveries("elastic")[at].reason for at in (2, 4))
        target = "logs-footprintiq.scan-default (told_exception: why)"
        assert refused == f"Elasticsearch answered 400 for {target}. Correct the mapping, then replay."
        assert waiting == f"Elasticsearch answered 503 for {target}. The records wait and are sent again."
        server.script = _bulk(lambda place, key: 201)
        place.recover("elastic")
        assert place.states("elastic").count("delivered") == 5
        assert [len(KEY.findall(request)) > 0 for request in server.requests] == [True, True]


@pytest.mark.parametrize(
    ("statuses", "wait_reason", "states"),
    [
        ([201, 429, 201], "throttled", [("delivered", 1), ("pending", 0), ("delivered", 1)]),
        ([201, 403, 201], "misconfigured", [("delivered", 1), ("pending", 0), ("delivered", 1)]),
        ([503, 503, 503], "backoff", [("retrying", 1)] * 3),
    ],
)
def test_what_an_item_says_of_the_whole_holds_for_the_connection(
    place: Place, statuses: Sequence[int], wait_reason: str, states: list[tuple[str, int]]
) -> None:
    with serving(_bulk(lambda place, key: statuses[place])) as server:
        place.join("elastic", server.url)
        place.fill("elastic", 3)
        assert not place.sync("elastic", "scheduled").success
        assert [(row.state, row.attempt_count) for row in place.deliveries("elastic")] == states
        assert place.row("elastic").wait_reason == wait_reason


def test_a_lost_bulk_answer_is_sent_again_and_known_there(place: Place) -> None:
    known: set[str] = set()

    def take_and_say_nothing(peer: Peer) -> None:
        known.update(orjson.loads(line)["create"]["_id"] for line in body_of(peer).splitlines()[::2])
        peer.hang()

    place.hurry(HURRIED_S)
    with serving(take_and_say_nothing) as server:
        place.join("elastic", server.url)
        place.fill("elastic", 3)
        place.sync("elastic", "scheduled")
        assert place.states("elastic") == ["in_doubt"] * 3
        assert "which the tool keeps once" in str(place.deliveries("elastic")[0].reason)
        server.script = _bulk(lambda place, key: 409 if key in known else 201)
        place.recover("elastic")
        assert [(row.state, row.reason) for row in place.deliveries("elastic")] == [("delivered", None)] * 3
        assert len(known) == 3


def test_a_413_halves_the_batch_and_the_size_is_remembered(place: Place) -> None:
    sizes: list[int] = []

    def take_two_at_most(peer: Peer) -> None:
        sizes.append(len(body_of(peer).splitlines()))
        small = sizes[-1] <= 2
        peer.send(WELL["splunk"] if small else json_answer(413, '{"text":"too large"}'))

    with serving(take_two_at_most, keep_alive=True) as server:
        place.join("splunk", server.url)
        place.fill("splunk", 8)
        assert place.sync("splunk", "scheduled").count == 8
        assert sizes == [8, 4, 2, 2, 4, 2, 2]
        assert place.row("splunk").batch_learned == 2
        place.fill("splunk", 4)
        assert place.sync("splunk").count == 4
        assert sizes[7:] == [2, 2]
        keys = [key for request in server.requests for key in set(KEY.findall(request))]
        assert len(set(keys)) == 12


def test_a_refused_bulk_request_is_nobodys_loss(place: Place) -> None:
    expected = replace(NOT_SENT, sent=1)
    with serving(http(503)) as server:
        place.join("elastic", server.url)
        place.fill("elastic")
        assert_outcome(place, "elastic", expected.saying("Elastic answered 503. What waits is tried again."))
