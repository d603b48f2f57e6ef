"""The fault matrix, statuses: each answer of a receiver, through a whole sync, and what an operator reads."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.support.fault_matrix import (
    CONTESTED,
    DELIVERED,
    DOUBT,
    GATEWAY,
    GONE,
    HEARD_S,
    PAUSED,
    REJECTED,
    RETRY,
    THROTTLED,
    Outcome,
    Place,
    assert_outcome,
    assert_pause,
    assert_recovers,
    database,
    database_now,
    engines,
    place,
)
from tests.support.fault_server import Peer, http, json_answer, serving

__all__ = ["database", "engines", "place"]

WELL = http(200)
AGAIN = "It may have been accepted. It is sent again under the same key, which the tool keeps once."
WAITS = "What waits is tried again."
REPLAY = "Correct the record or the mapping, then replay."
ADDRESS = (
    "This address does not take what the hub sends. Correct it, or let the proxy in between pass everything."
)
PAUSE = "It asks for a pause; everything waits, nothing is lost."

STATUSES: dict[int, Outcome] = {
    **dict.fromkeys((200, 201, 202, 204, 206, 299), DELIVERED),
    400: REJECTED.saying(REPLAY),
    401: PAUSED.saying("Enter the credentials again, then press Test."),
    402: PAUSED.saying("Look at the account's plan there, then press Test."),
    403: PAUSED.saying("Allow this account or key to do that there, or enter another one, then press Test."),
    404: PAUSED.saying("There is nothing at this address. Correct it, then press Test."),
    **dict.fromkeys((405, 406, 411, 414, 415, 417, 421, 426, 431, 501, 505), PAUSED.saying(ADDRESS)),
    407: PAUSED.saying("The proxy wants a user name and password. Enter them in its address."),
    408: DOUBT.saying(AGAIN),
    409: CONTESTED.saying("Something there stands in its way; the hub tries three times."),
    410: GONE.saying(
        "It asks for no more. Enter the address that took its place, then enable the connection."
    ),
    **dict.fromkeys((412, 418, 422, 424, 428, 451, 499), REJECTED.saying(REPLAY)),
    423: RETRY.saying(WAITS),
    425: RETRY.saying(WAITS),
    429: THROTTLED.saying(PAUSE),
    **dict.fromkeys((500, 506, 508, 520, 599, 600, 700, 999), DOUBT.saying(AGAIN)),
    **dict.fromkeys((502, 504, 522, 524), GATEWAY.saying(AGAIN)),
    503: RETRY.saying(WAITS),
    507: RETRY.saying("It has no room left. Make room there; what waits is tried again."),
    511: PAUSED.saying("This network wants a sign-in first. Sign in, or go around it."),
}
#: one of each kind is followed until it has arrived
RECOVERED = {202, 400, 401, 403, 405, 408, 409, 410, 425, 429, 500, 502, 503, 504, 507}


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_ends_as_the_matrix_says(place: Place, status: int) -> None:
    expected = STATUSES[status]
    body = "" if status in (204, 206) else '{"error": "told"}'
    with serving(json_answer(status, body)) as server:
        place.join("webhook", server.url)
        place.fill("webhook")
        said = f"Webhook answered {status} (told). {expected.sentence}" if expected.sentence else ""
        assert_outcome(place, "webhook", expected.saying(said))
        if status in RECOVERED:
            server.script = lambda peer: peer.send(WELL)
            assert_recovers(place, server, expected)


def test_a_record_that_is_too_large_alone_is_refused(place: Place) -> None:
    with serving(json_answer(413, '{"error": "too big"}')) as server:
        place.join("webhook", server.url)
        place.fill("webhook")
        said = (
            "This record alone is larger than the vendor accepts: Webhook answered 413 (too big). "
            "Shorten its text, then replay."
        )
        assert_outcome(place, "webhook", REJECTED.saying(said))


def test_a_conflict_that_stays_ends_after_three_tries(place: Place) -> None:
    with serving(json_answer(409, "{}")) as server:
        place.join("webhook", server.url)
        place.fill("webhook")
        place.sync("webhook", "scheduled")
        place.recover("webhook")
        row = place.only("webhook")
        assert (row.state, row.attempt_count, len(server.requests)) == ("dead", 3, 3)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_pauses_and_is_never_followed(place: Place, status: int) -> None:
    there = "http://169.254.169.254/latest/meta-data/iam"
    with serving(http(200)) as inner, serving(http(status, b"", f"Location: {there}")) as server:
        place.join("webhook", server.url)
        place.fill("webhook")
        said = (
            f"Webhook answered {status}: the address moved to http://169.254.169.254. "
            "The hub does not follow; if that is right, enter the new address."
        )
        assert_outcome(place, "webhook", PAUSED.saying(said))
        server.script = lambda peer: peer.send(http(status, b"", f"Location: {inner.url}/admin"))
        place.pass_time(hours=1)
        place.sync("webhook", "scheduled")
        assert inner.connects == 0
        server.script = lambda peer: peer.send(WELL)
        place.recover("webhook")
        assert place.states("webhook") == ["delivered"]


ODD = "Webhook: sent, the answer is not proper HTTP: it may have arrived."
SAME_KEY = " It is sent again under the same key, which the tool keeps once."


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + WELL, DELIVERED),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + WELL, DELIVERED),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", DOUBT.saying(ODD + SAME_KEY)),
        (b"HTTP/1.1 099 Low\r\n\r\n", DOUBT.saying(ODD + SAME_KEY)),
        (b"HTTP/1.1 000 Nothing\r\n\r\n", DOUBT.saying(ODD + SAME_KEY)),
        (b"HTTP/1.1 2000 Many\r\n\r\n", DOUBT.saying(ODD + SAME_KEY)),
        (b"HTTP/1.1 twohundred\r\n\r\n", DOUBT.saying(ODD + SAME_KEY)),
        (b"220 mail.example.com ESMTP\r\n\r\n", DOUBT.saying(ODD + SAME_KEY)),
    ],
)
def test_what_is_hardly_a_status_leaves_a_doubt(place: Place, answer: bytes, expected: Outcome) -> None:
    with serving(answer) as server:
        place.join("webhook", server.url)
        place.fill("webhook")
        assert_outcome(place, "webhook", expected)
        server.script = lambda peer: peer.send(WELL)
        assert_recovers(place, server, expected)


def test_only_a_100_is_no_answer(place: Place) -> None:
    def only_continue(peer):
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.hang()

    place.hurry(HEARD_S)
    with serving(only_continue) as server:
        place.join("webhook", server.url)
        place.fill("webhook")
        said = "Webhook: sent, the answer trickled and was cut at 2 s: it may have arrived." + SAME_KEY
        assert_outcome(place, "webhook", DOUBT.saying(said))


IN_TWO_MINUTES, TWO_HOURS_AGO = "+120", "-7200"


@pytest.mark.parametrize(
    ("value", "pause_s"),
    [
        ("30", (30, 33)),
        ("120", (120, 132)),
        ("1.5", (1.5, 1.65)),
        (IN_TWO_MINUTES, (117, 132)),
        ("0", (60, 66)),
        (TWO_HOURS_AGO, (60, 66)),
        ("-5", (60, 66)),
        ("NaN", (60, 66)),
        ("soon", (60, 66)),
        ("Wed, 99 Foo 2026 99:99:99 GMT", (60, 66)),
        ("٣".encode().decode("latin-1"), (60, 66)),
        ("", (60, 66)),
        ("999999999999", (86400, 86400)),
        ("inf", (86400, 86400)),
        ("9" * 400, (86400, 86400)),
    ],
)
def test_a_429_makes_the_connection_wait_as_asked(
    place: Place, value: str, pause_s: tuple[float, float]
) -> None:
    def too_many(peer: Peer) -> None:
        asked = value
        if value in (IN_TWO_MINUTES, TWO_HOURS_AGO):
            asked = format_datetime(datetime.now(UTC) + timedelta(seconds=float(value)), usegmt=True)
        head = "HTTP/1.1 429 X\r\nContent-Length: 0\r\nRetry-After: "
        peer.send(f"{head}{asked}\r\n\r\n".encode("latin-1"))

    with serving(too_many) as server:
        place.join("webhook", server.url)
        place.fill("webhook", 3)
        before = database_now()
        assert not place.sync("webhook", "scheduled").success
        assert_pause(place.row("webhook"), pause_s, before, database_now())
        assert [(row.state, row.attempt_count) for row in place.deliveries("webhook")] == [("pending", 0)] * 3
        place.pass_time(minutes=-1)  # the shortest pause is over in a second
        assert place.sync("webhook").count == 0  # a person's sync does not go around it
        assert len(server.requests) == 1
