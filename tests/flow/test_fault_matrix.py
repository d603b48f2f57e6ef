"""The fault matrix, wire and bodies: what a receiver's network does to a record, through a whole sync."""

import gzip
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from tests.support.fault_matrix import (
    DELIVERED,
    DOUBT,
    HEARD_S,
    HURRIED_S,
    NOT_SENT,
    PAUSED,
    Outcome,
    Place,
    assert_outcome,
    assert_recovers,
    database,
    engines,
    place,
)
from tests.support.fault_server import FaultServer, Peer, Script, certificate, http, serving
from tests.support.live import reserved_port

__all__ = ["database", "engines", "place"]

SAME_KEY = " It is sent again under the same key, which the tool keeps once."
WAITS = "Nothing was sent; what waits is tried again."
WELL = http(200)
AUTHORITY = certificate("Test authority", is_ca=True)


def in_doubt(words: str) -> Outcome:
    return DOUBT.saying(f"Webhook: sent, {words}: it may have arrived.")


# Before anything is sent


def test_nobody_listens(place: Place) -> None:
    port = reserved_port()
    place.join("webhook", f"http://127.0.0.1:{port}")
    place.fill("webhook")
    expected = NOT_SENT.saying(f"Webhook: nobody listens on 127.0.0.1:{port}. {WAITS}")
    assert_outcome(place, "webhook", expected)
    with serving(WELL, at_port=port) as server:
        assert_recovers(place, server, expected)


def test_a_name_that_is_not_found(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    def look_up(host: str, *rest: object, **more: object):
        if is_down:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real("127.0.0.1", *rest, **more)

    real, is_down = socket.getaddrinfo, True
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    shown = certificate("receiver.example", by=AUTHORITY).server_context(tmp_path)
    with serving(WELL, tls=shown) as server:
        place.join("webhook", f"https://receiver.example:{server.port}", ca_bundle=AUTHORITY.cert)
        place.fill("webhook")
        expected = NOT_SENT.saying(f"Webhook: the name receiver.example was not found. {WAITS}")
        assert_outcome(place, "webhook", expected)
        is_down = False
        assert_recovers(place, server, expected)


def test_a_host_that_does_not_answer_the_connection(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.http.transport.CONNECT_S", HURRIED_S)
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = full.getsockname()[1]
        for _ in range(3):  # the kernel keeps backlog + 1 and drops what comes then
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        place.join("webhook", f"http://127.0.0.1:{port}")
        place.fill("webhook")
        expected = NOT_SENT.saying(f"Webhook: no answer from 127.0.0.1:{port} within 0.3 s. {WAITS}")
        assert_outcome(place, "webhook", expected)
    with serving(WELL, at_port=port) as server:
        assert_recovers(place, server, expected)


# After something was sent


def _hangs(peer: Peer) -> None:
    peer.hang()


def _closes(peer: Peer) -> None:
    peer.sock.shutdown(socket.SHUT_RDWR)


def _resets(peer: Peer) -> None:
    peer.reset()


def _trickles_headers(peer: Peer) -> None:
    peer.trickle(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100, 0.1)


def _breaks_headers(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Ty")


BROKE = "the connection broke without an answer"
IF_HTTPS = " If this port wants https://, correct the address."


@pytest.mark.parametrize(
    ("script", "words", "hint"),
    [
        (_hangs, "no answer within 0.3 s", ""),
        (_closes, BROKE, IF_HTTPS),
        (_resets, BROKE, IF_HTTPS),
        (_trickles_headers, "the answer trickled and was cut at 2 s", ""),
        (_breaks_headers, "the answer is not proper HTTP", ""),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 150_000, "the answer is not proper HTTP", ""),
        (b"220 ESMTP\r\n\r\n", "the answer is not proper HTTP", ""),
    ],
)
def test_silence_after_sending_is_in_doubt_and_the_key_keeps_it_single(
    place: Place, script: Script | bytes, words: str, hint: str
) -> None:
    expected = in_doubt(words)
    if script in (_hangs, _trickles_headers):
        place.hurry(HURRIED_S if script is _hangs else HEARD_S)
    with serving(script) as server:
        place.join("webhook", server.url)
        place.fill("webhook")
        assert_outcome(place, "webhook", expected.saying(expected.sentence + hint + SAME_KEY))
        server.script = lambda peer: peer.send(WELL)
        assert_recovers(place, server, expected)


def test_a_reset_before_anything_was_read_is_in_doubt_too(place: Place) -> None:
    with serving(WELL, hang_up=True) as server:
        place.join("webhook", server.url)
        place.fill("webhook")
        expected = replace(in_doubt(BROKE), sent=1)
        assert_outcome(place, "webhook", expected.saying(expected.sentence + IF_HTTPS + SAME_KEY))
        server.hang_up = False
        assert_recovers(place, server, expected)


# Bodies: of a receiver of webhooks the status says it all, unless a web page shows that it is another


def _endless(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while not peer.over.is_set():
        peer.send(b"x" * 65536)


def _trickles_body(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    peer.trickle(b"x" * 1000, 0.1)


def _breaks_body(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


def _resets_body(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    peer.reset()


BOMB = gzip.compress(bytes(16 * 1024 * 1024), mtime=0)
PAGE = b"<!DOCTYPE html><html><title>Sign in</title>"
SIGN_IN = (
    "Webhook answered 200: got a web page, not the API. "
    "Check the address, and whether a sign-in page is in between."
)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (_endless, DELIVERED),
        (_trickles_body, DELIVERED),
        (_breaks_body, DELIVERED),
        (http(200, BOMB, "Content-Encoding: gzip"), DELIVERED),
        (http(200, gzip.compress(BOMB), "Content-Encoding: gzip, gzip"), DELIVERED),
        (http(200, b"{broken", "Content-Type: application/json"), DELIVERED),
        (http(200, b"ok", "Content-Type: text/html"), DELIVERED),
        (http(200, PAGE, "Content-Type: text/html"), PAUSED.saying(SIGN_IN)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + PAGE, PAUSED.saying(SIGN_IN)),
        (
            http(403, PAGE, "Content-Type: text/html"),
            PAUSED.saying(
                "Something between the hub and the receiver answered 403 with a web page. "
                "Correct the address, or let the proxy or firewall pass the hub through."
            ),
        ),
        (
            http(400, PAGE, "Content-Type: text/html"),
            PAUSED.saying(
                "Something between the hub and the receiver answered 400 with a web page. "
                "Correct the address, or let the proxy or firewall pass the hub through."
            ),
        ),
    ],
)
def test_a_2xx_counts_whatever_becomes_of_its_body(
    place: Place, script: Script | bytes, expected: Outcome
) -> None:
    if script is _trickles_body:
        place.hurry(HEARD_S)
    with serving(script) as server:
        place.join("webhook", server.url)
        place.fill("webhook")
        assert_outcome(place, "webhook", expected)
        server.script = lambda peer: peer.send(WELL)
        assert_recovers(place, server, expected)


# Clocks


@pytest.mark.parametrize(
    ("date", "words"),
    [
        ("Wed, 21 Oct 2015 07:28:00 GMT", "fast: set it, then press Test."),
        ("Fri, 31 Dec 2100 23:59:59 GMT", "slow: set it, then press Test."),
        ("nonsense", ""),
    ],
)
def test_a_refusal_from_another_time_points_at_the_clock(place: Place, date: str, words: str) -> None:
    with serving(http(401, b"", f"Date: {date}")) as server:
        place.join("webhook", server.url)
        place.fill("webhook")
        place.sync("webhook", "scheduled")
        said = place.row("webhook").problem or ""
        assert said.startswith("Webhook answered 401. Enter the credentials again, then press Test.")
        assert said.endswith(words or "press Test.")
        assert ("By their clock this machine is" in said) is bool(words)


# Connections that are kept


@contextmanager
def _keeping(script: Script) -> Iterator[FaultServer]:
    with serving(script, keep_alive=True) as server:
        yield server


def test_a_connection_that_was_closed_while_idle_is_replaced_unseen(place: Place) -> None:
    with _keeping(lambda peer: peer.answer_and_leave(WELL)) as server:
        place.join("webhook", server.url)
        place.fill("webhook", 3)
        assert place.sync("webhook", "scheduled").count == 3
        assert (len(server.requests), server.connects) == (3, 3)
        assert place.row("webhook").failures == 0


def test_a_reset_on_a_kept_connection_is_in_doubt(place: Place) -> None:
    def reset_the_second(peer: Peer) -> None:
        if len(server.requests) == 2:
            return peer.reset()
        return peer.send(WELL)

    with _keeping(reset_the_second) as server:
        place.join("webhook", server.url)
        place.fill("webhook", 3)
        place.sync("webhook", "scheduled")
        assert (place.states("webhook"), server.connects) == (["delivered", "in_doubt", "pending"], 1)
        place.recover("webhook")
        assert place.states("webhook") == ["delivered"] * 3
        assert len(server.requests) == 4
        ids = [line for r in server.requests for line in r.split(b"\r\n") if line.startswith(b"webhook-id")]
        assert sorted(Counter(ids).values()) == [1, 1, 2]
