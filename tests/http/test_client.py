"""Each fault of the wire becomes one class and one sentence; nothing outlasts its deadline or its limits."""

import gzip
import json
import resource
import socket
import threading
import time
import tracemalloc
import zlib
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from core.http import READS_ONLY, Egress, Recorder, Rules, VendorClient, retry_after_s
from core.http.answer import MAX_ANSWER_BYTES
from core.http.errors import (
    Contested,
    DeliveryError,
    Gone,
    InDoubt,
    Misconfigured,
    Rejected,
    Throttled,
    TooLarge,
    Unavailable,
)
from tests.support.fault_server import FaultServer, Peer, Script, http, json_answer, serving
from tests.support.live import reserved_port

HERE = Egress.parse("127.0.0.1")


def client(**options: Any) -> VendorClient:
    return VendorClient(**{"vendor": "Splunk", "rules": Rules(HERE), "deadline_s": 3.0, **options})


def post(script: Script | bytes, method: str = "POST", **options: Any) -> DeliveryError:
    """The fault that one call to a server with this script ends in."""
    with serving(script) as server, client(**options) as vendor, pytest.raises(DeliveryError) as caught:
        vendor.request(method, f"{server.url}/services/collector?q=1", content=b"{}")
    return caught.value


# Statuses


@pytest.mark.parametrize(
    ("status", "on_post", "on_get"),
    [
        (300, Misconfigured, Misconfigured),
        (302, Misconfigured, Misconfigured),
        (304, Misconfigured, Misconfigured),
        (400, Rejected, Rejected),
        (401, Misconfigured, Misconfigured),
        (403, Misconfigured, Misconfigured),
        (404, Misconfigured, Misconfigured),
        (405, Misconfigured, Misconfigured),
        (408, InDoubt, Unavailable),
        (409, Contested, Contested),
        (410, Gone, Gone),
        (413, TooLarge, TooLarge),
        (422, Rejected, Rejected),
        (425, Unavailable, Unavailable),
        (429, Throttled, Throttled),
        (451, Rejected, Rejected),
        (500, InDoubt, Unavailable),
        (502, InDoubt, Unavailable),
        (503, Unavailable, Unavailable),
        (504, InDoubt, Unavailable),
        (520, InDoubt, Unavailable),
    ],
)
def test_a_status_means_a_fault(status: int, on_post: type, on_get: type) -> None:
    answer = json_answer(status, '{"text": "Token disabled", "code": 1}')
    for method, kind in (("POST", on_post), ("PUT", on_post), ("GET", on_get)):
        fault = post(answer, method)
        assert type(fault) is kind
        assert fault.status == status
        if status >= 400:
            assert fault.json() == {"text": "Token disabled", "code": 1}
            assert fault.message.startswith(f"Splunk answered {status} (Token disabled).")


def test_a_vendor_may_bend_a_status() -> None:
    fault = post(http(403), faults={403: Throttled})
    assert type(fault) is Throttled
    assert type(post(http(400), "GET", faults={400: InDoubt})) is Unavailable


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_2xx_answer_is_returned_whole(status: int) -> None:
    body = "" if status == 204 else '{"id": 7}'
    with serving(json_answer(status, body)) as server, client() as vendor:
        answer = vendor.post(server.url, json={"a": 1})
    assert answer.status_code == status
    assert answer.is_success
    if body:
        assert answer.json() == {"id": 7}


@pytest.mark.parametrize(
    ("body", "media", "words"),
    [
        ('{"message": "no such index"}', "application/json", "no such index"),
        ('{"error": {"type": "x", "reason": "mapper failed"}}', "application/json", "mapper failed"),
        ('{"errorMessages": ["a", "b"], "errors": {}}', "application/json", "a; b"),
        (
            '{"errorMessages": [], "errors": {"summary": "is required"}}',
            "application/json",
            "summary: is required",
        ),
        ('{"error": "invalid_client", "error_description": "bad secret"}', "application/json", "bad secret"),
        ('{"detail": "Not here"}', "application/problem+json", "Not here"),
        ('[{"message": "one"}, {"message": "two"}]', "application/json", "one; two"),
        ("invalid_token\n", "text/plain", "invalid_token"),
        ("a\x1b[31m\u202eb" + "x" * 400, "text/plain", "a [31m b" + "x" * 191 + "…"),
        ("<html>Forbidden</html>", "text/html", ""),
        ("binary", "application/octet-stream", ""),
        ('{"n": 5}', "application/json", ""),
        ("", "text/plain", ""),
    ],
)
def test_the_sentence_gives_the_vendors_own_words(body: str, media: str, words: str) -> None:
    fault = post(http(400, body.encode(), f"Content-Type: {media}; charset=utf-8"))
    said = f"Splunk answered 400{f' ({words})' if words else ''}."
    assert fault.message == f"{said} Correct the record or the mapping, then replay."


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("https://new.example.com/secret-path?token=1", "https://new.example.com."),
        ("https://new.example.com:8443/x", "https://new.example.com:8443."),
        ("//other.example/x", "http://other.example."),
        ("/login", "another path on the same host."),
        ("", "another path on the same host."),
        ("https://[::1", "another path on the same host."),
    ],
)
def test_a_redirect_is_told_by_host_and_never_followed(location: str, there: str) -> None:
    fault = post(http(302, b"", f"Location: {location}"))
    assert type(fault) is Misconfigured
    assert fault.message == (
        f"Splunk answered 302: the address moved to {there} "
        "The hub does not follow; if that is right, enter the new address."
    )
    assert "secret" not in fault.message


def test_a_redirect_into_the_own_network_connects_nowhere() -> None:
    with serving(http(200)) as inner:
        for status in (301, 302, 303, 307, 308):
            post(http(status, b"", f"Location: {inner.url}/admin"))
        assert inner.connects == 0


def test_a_web_page_is_not_the_api() -> None:
    page = b"\n<!DOCTYPE html><html><title>Sign in</title>"
    for media in ("text/html; charset=utf-8", "application/json"):
        fault = post(http(200, page, f"Content-Type: {media}"))
        assert type(fault) is Misconfigured
        assert fault.message.startswith("Splunk answered 200: got a web page, not the API.")


def test_a_webhook_that_says_ok_as_text_html_has_delivered() -> None:
    with serving(http(200, b"ok", "Content-Type: text/html")) as server, client() as vendor:
        assert vendor.post(server.url, json={}).text == "ok"


# Retry-After


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("1.5", 1.5),
        ("86400", 86400),
        ("999999999", 86400),
        ("1e9", 86400),
        ("inf", 86400),
        ("Wed, 21 Oct 2026 07:30:00 GMT", 120),
        ("Wed, 21 Oct 2026 09:30:00 +0200", 120),
        ("Wed, 21 Oct 2026 07:30:00 -0000", 120),
        ("Wednesday, 21-Oct-26 07:30:00 GMT", 120),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400),
        ("Wed, 21 Oct 2020 07:28:00 GMT", None),
        ("-5", None),
        ("nan", None),
        ("٣", None),
        ("１２", None),
        ("soon", None),
        ("12 seconds", None),
        ("", None),
        (None, None),
        ("Wed, 99 Foo 2026 99:99:99 GMT", None),
        ("9" * 400, 86400),
    ],
)
def test_retry_after_is_read_or_counts_as_absent(value: str | None, wait_s: float | None) -> None:
    assert retry_after_s(value, datetime(2026, 10, 21, 7, 28, tzinfo=UTC)) == wait_s


def test_the_fault_carries_what_the_vendor_asks_for() -> None:
    assert post(http(429, b"", "Retry-After: 30")).retry_after_s == 30
    assert post(http(503, b"", "Retry-After: -1")).retry_after_s is None


# Silence


def test_nobody_listens() -> None:
    port = reserved_port()
    with client() as vendor, pytest.raises(Unavailable) as caught:
        vendor.post(f"http://127.0.0.1:{port}/", content=b"x")
    assert (
        caught.value.message
        == f"Splunk: nobody listens on 127.0.0.1:{port}. Nothing was sent; what waits is tried again."
    )


def test_a_full_backlog_ends_in_a_connect_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda sock, address: _time_out())
    with client() as vendor, pytest.raises(Unavailable) as caught:
        vendor.post("http://127.0.0.1:8088/", content=b"x")
    assert (
        caught.value.message
        == "Splunk: no answer from 127.0.0.1:8088 within 5 s. Nothing was sent; what waits is tried again."
    )


def _time_out() -> None:
    raise TimeoutError


def _says_nothing(peer: Peer) -> None:
    peer.hang()


def _closes(peer: Peer) -> None:
    peer.sock.close()


def _resets(peer: Peer) -> None:
    peer.reset()


def _trickles_headers(peer: Peer) -> None:
    peer.trickle(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100, 0.05)


def _sends_noise(peer: Peer) -> None:
    peer.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


def _sends_endless_headers(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * 1_800_000)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (_says_nothing, "no answer within 0.4 s"),
        (_closes, "the connection broke without an answer"),
        (_resets, "the connection broke without an answer"),
        (_trickles_headers, "the answer trickled and was cut at 0.4 s"),
        (_sends_noise, "the answer is not proper HTTP"),
        (_sends_endless_headers, "the answer is not proper HTTP"),
    ],
)
def test_silence_after_sending_is_in_doubt_unless_nothing_could_change(script: Script, words: str) -> None:
    began_at = time.monotonic()
    fault = post(script, deadline_s=0.4)
    assert type(fault) is InDoubt
    assert fault.message.startswith(f"Splunk: sent, {words}: it may have arrived.")
    assert fault.status is None
    for method in ("GET", "HEAD"):
        assert type(post(script, method, deadline_s=0.4)) is Unavailable
    assert time.monotonic() - began_at < 3


def test_a_post_that_only_reads_is_not_in_doubt() -> None:
    with serving(_closes) as server, client() as vendor, pytest.raises(Unavailable):
        vendor.post(server.url, content=b"{}", extensions=READS_ONLY)


def _breaks_body(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


def _trickles_body(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    peer.trickle(b"x" * 1000, 0.05)


def _sends_endless_body(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while not peer.over.is_set():
        peer.send(b"x" * 65536)


def _bomb(encoding: str, packed: bytes) -> bytes:
    return http(200, packed, f"Content-Encoding: {encoding}")


BOMB = gzip.compress(bytes(64 * 1024 * 1024), mtime=0)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (_breaks_body, "broke off"),
        (_trickles_body, "trickled and was cut at 0.6 s"),
        (_sends_endless_body, "is longer than 1 MiB"),
        (_bomb("gzip", BOMB), "is longer than 1 MiB"),
        (_bomb("deflate", zlib.compress(bytes(8 * 1024 * 1024))), "is longer than 1 MiB"),
        (
            _bomb("gzip, gzip", gzip.compress(BOMB, mtime=0)),
            'is packed in a way that was not asked for ("gzip, gzip")',
        ),
        (_bomb("br", b"abc"), 'is packed in a way that was not asked for ("br")'),
        (_bomb("gzip", b"this is no gzip"), "cannot be unpacked"),
        (_bomb("gzip", gzip.compress(b'{"a": 1}', mtime=0)[:-9]), "broke off"),
    ],
)
def test_a_2xx_whose_body_cannot_be_read_is_in_doubt(script: Script | bytes, words: str) -> None:
    fault = post(script, deadline_s=0.6)
    assert type(fault) is InDoubt
    assert fault.message == f"Splunk answered 200, but the answer {words}. It may have been accepted."
    assert fault.status == 200
    assert type(post(script, "GET", deadline_s=0.6)) is Unavailable


def test_of_a_refusal_whose_body_breaks_the_status_counts() -> None:
    assert type(post(b"HTTP/1.1 400 Bad\r\nContent-Length: 100\r\n\r\n{")) is Rejected
    assert type(post(http(401, BOMB, "Content-Encoding: gzip"))) is Misconfigured


def test_a_gzip_bomb_costs_a_few_mebibytes() -> None:
    with serving(_bomb("gzip", BOMB)) as server, client() as vendor:
        tracemalloc.start()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        with pytest.raises(InDoubt):
            vendor.post(server.url, content=b"{}")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 6 * MAX_ANSWER_BYTES
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 2


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b'{"a": 1}', mtime=0)),
        ("x-gzip", gzip.compress(b'{"a": 1}', mtime=0)),
        ("deflate", zlib.compress(b'{"a": 1}')),
        ("identity", b'{"a": 1}'),
    ],
)
def test_a_packed_answer_is_unpacked(encoding: str, packed: bytes) -> None:
    with serving(_bomb(encoding, packed)) as server, client() as vendor:
        assert vendor.post(server.url, content=b"{}").json() == {"a": 1}
        assert b"accept-encoding: gzip\r\n" in server.requests[0].lower()
        assert vendor.exchanges[0].bytes_in == len(packed)


def test_an_answer_of_exactly_the_limit_is_read() -> None:
    with serving(http(200, b"x" * MAX_ANSWER_BYTES)) as server, client() as vendor:
        assert len(vendor.get(server.url).content) == MAX_ANSWER_BYTES


def test_hostile_json_is_a_value_error_and_nothing_worse() -> None:
    with serving(json_answer(200, "[" * 100_000)) as server, client() as vendor:
        answer = vendor.get(server.url)
    with pytest.raises(ValueError):
        answer.json()


def _reads_slowly(over: threading.Event, listener: socket.socket) -> None:
    sock, _ = listener.accept()
    with sock:
        while not over.wait(0.1) and sock.recv(10):
            pass


def test_a_vendor_that_takes_the_request_slowly_is_cut_off() -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_reads_slowly, args=(over, listener), daemon=True).start()
        began_at = time.monotonic()
        with client(deadline_s=0.5) as vendor, pytest.raises(InDoubt):
            vendor.post(f"http://127.0.0.1:{listener.getsockname()[1]}/", content=bytes(50_000_000))
        assert time.monotonic() - began_at < 2
        over.set()


def test_a_longer_timeout_of_the_caller_does_not_lift_the_deadline() -> None:
    with serving(_says_nothing) as server, client(deadline_s=0.3) as vendor:
        began_at = time.monotonic()
        with pytest.raises(InDoubt):
            vendor.post(server.url, content=b"x", timeout=None)
        assert time.monotonic() - began_at < 2


def test_a_refusal_sent_before_the_body_was_taken_is_heard() -> None:
    def refuse_early(peer: Peer) -> None:
        peer.send(http(413, b"", "Connection: close"))

    assert type(post(refuse_early)) is TooLarge


# Connections


def test_connections_are_kept_and_a_closed_one_is_replaced() -> None:
    with serving(http(200, b"{}"), keep_alive=True) as server, client() as vendor:
        for _ in range(5):
            vendor.post(server.url, content=b"x")
        assert server.connects == 1
    with serving(http(200, b"{}")) as server, client() as vendor:
        vendor.post(server.url, content=b"x")
        _wait_for(lambda: _is_closed_there(vendor))
        vendor.post(server.url, content=b"x")
        assert server.connects == 2


def _is_closed_there(vendor: VendorClient) -> bool:
    pool = vendor._transport._pool  # type: ignore[attr-defined]
    return all(connection.has_expired() for connection in pool.connections)


def _wait_for(condition: Any) -> None:
    ends_at = time.monotonic() + 3
    while not condition() and time.monotonic() < ends_at:
        threading.Event().wait(0.005)
    assert condition()


def test_one_client_serves_many_threads() -> None:
    with serving(http(200, b"{}"), keep_alive=True) as server, client() as vendor:
        threads = [
            threading.Thread(target=lambda: [vendor.post(server.url, content=b"x") for _ in range(10)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(vendor.exchanges) == len(server.requests) == 40


def test_cookies_are_not_kept() -> None:
    answer = http(200, b"{}", "Set-Cookie: session=1")
    with serving(answer, keep_alive=True) as server, client() as vendor:
        vendor.post(server.url, content=b"x")
        vendor.post(server.url, content=b"x")
        assert b"ookie:" not in server.requests[1]


def test_the_environments_proxy_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(http(200, b"{}")) as proxy, serving(http(200, b"{}")) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with client() as vendor:
            vendor.post(server.url, content=b"x")
        assert (proxy.connects, server.connects) == (0, 1)


def test_plain_http_answers_of_a_proxy_are_judged() -> None:
    with serving(http(200, b"{}")) as proxy, client(rules=Rules(HERE, proxy=proxy.url)) as vendor:
        vendor.post("http://127.0.0.1:8088/x", content=b"x")
        assert proxy.requests[0].startswith(b"POST http://127.0.0.1:8088/x HTTP/1.1")


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (407, Misconfigured, "the proxy wants a user name and password"),
        (403, Misconfigured, "the proxy refuses to connect to example.com (answer 403)"),
        (502, Unavailable, "the proxy could not reach example.com (answer 502)"),
    ],
)
def test_a_proxy_that_does_not_connect(answer: int, kind: type, words: str) -> None:
    with serving(http(answer)) as proxy:
        rules = Rules(HERE, proxy=f"http://me:canary-password@127.0.0.1:{proxy.port}")
        with client(rules=rules) as vendor, pytest.raises(DeliveryError) as caught:
            vendor.post("https://example.com/x", content=b"x")
        assert type(caught.value) is kind
        assert words in caught.value.message
        assert proxy.requests[0].startswith(b"CONNECT example.com:443")
        assert b"Proxy-Authorization: Basic" in proxy.requests[0]
        assert vendor.exchanges[0].host == "example.com"


def test_a_proxy_that_says_nothing_leaves_no_doubt() -> None:
    with (
        serving(_says_nothing) as proxy,
        client(rules=Rules(HERE, proxy=proxy.url), deadline_s=0.3) as vendor,
        pytest.raises(Unavailable),
    ):
        vendor.post("https://example.com/x", content=b"x")


def test_a_proxy_is_an_egress_target_too_and_never_a_way_around() -> None:
    with serving(http(200)) as proxy:
        for rules, url in (
            (Rules(Egress(), proxy=proxy.url), "https://example.com/"),  # the proxy itself is not allowed
            (Rules(HERE, proxy=proxy.url), "https://10.0.0.1/"),
            (Rules(HERE, proxy=proxy.url), "https://169.254.169.254/"),
            (Rules(HERE, proxy=proxy.url), "http://example.com/"),
            (Rules(HERE, proxy="https://127.0.0.1:1"), "https://example.com/"),
            (Rules(HERE, proxy="socks5://127.0.0.1:1"), "https://example.com/"),
            (Rules(HERE, proxy="nonsense"), "https://example.com/"),
        ):
            with client(rules=rules) as vendor, pytest.raises(Misconfigured):
                vendor.get(url)
        assert proxy.connects == 0


# What may be stored and shown

CANARY = "canary/7f3a+9b=secret"
HOOK = "https://hooks.example.com/services/T000/B000/canary-path-1234?sig=canary-query-5678"


def _echo(status: int) -> Script:
    """A vendor that repeats all it was told, in every spelling."""

    def script(peer: Peer) -> None:
        told = peer.request.decode()
        body = json.dumps({"message": told}) + told + json.dumps(HOOK).replace("/", "\\/") + HOOK
        peer.send(json_answer(status, json.dumps({"message": told[:150], "all": body})))

    return script


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 429, 500, 503])
def test_no_canary_is_kept_or_told(
    status: int, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    for name in ("httpx", "httpcore", "httpcore.http11", "httpcore.connection"):
        caplog.set_level("DEBUG", logger=name)
    kept = ""
    with serving(_echo(status)) as server, client(secrets=[CANARY, HOOK]) as vendor:
        headers = {"Authorization": f"Splunk {CANARY}", "X-Api-Key": "canary-api-key-88"}
        for extra in ({"headers": headers}, {"auth": ("me", CANARY)}):
            try:
                vendor.post(
                    f"{server.url}/services/{CANARY}", params={"k": CANARY}, json={"token": CANARY}, **extra
                )
            except DeliveryError as fault:
                kept += f"{fault} {fault.message} {fault.body} {fault.args} {fault.__cause__}"
        kept += str(vendor.exchanges)
        assert len(vendor.exchanges) == 2
    kept += caplog.text + "".join(capsys.readouterr())
    assert "canary" not in kept
    for form in ("Y2FuYXJ5", "bWU6Y2FuYXJ5"):  # base64 of the secret, and of the Basic pair
        assert form not in kept
    assert "/services/" not in str([exchange.host for exchange in vendor.exchanges])


def test_half_a_secret_at_the_end_of_a_broken_answer_is_not_kept() -> None:
    said = b'{"message": "you sent ' + CANARY[:15].encode()
    head = b"HTTP/1.1 401 No\r\nContent-Length: 500\r\n\r\n"
    with (
        serving(head + said) as server,
        client(secrets=[CANARY]) as vendor,
        pytest.raises(Misconfigured) as e,
    ):
        vendor.post(server.url, content=b"{}")
    assert "canary" not in f"{e.value.message}{e.value.body}{vendor.exchanges}"


def test_an_exchange_says_what_happened_in_bounds() -> None:
    answer = json_answer(200, json.dumps({"a": "\x00y" * 5000}))
    with serving(answer) as server, client() as vendor:
        vendor.post(f"{server.url}/secret/path?q=1", json={"text": "x" * 5000})
    (exchange,) = vendor.exchanges
    assert (exchange.method, exchange.host, exchange.status) == ("POST", f"127.0.0.1:{server.port}", 200)
    assert exchange.bytes_out > 5000
    assert exchange.bytes_in > 5000
    assert exchange.ms >= 0
    assert len(exchange.request) == len(exchange.answer) == 2000
    assert exchange.request.startswith('{"text":')


def test_a_call_without_an_answer_is_an_exchange_too() -> None:
    with client() as vendor, pytest.raises(Unavailable):
        vendor.post(f"http://127.0.0.1:{reserved_port()}/", content=b"abc")
    (exchange,) = vendor.exchanges
    assert (exchange.status, exchange.bytes_out, exchange.request, exchange.answer) == (None, 3, "abc", "")


# What callers may do


def test_before_call_runs_before_each_call_and_may_refuse() -> None:
    class Stop(Exception): ...

    calls = []

    def count() -> None:
        calls.append(1)
        if len(calls) > 1:
            raise Stop

    with serving(http(200, b"{}")) as server, client(before_call=count) as vendor:
        vendor.post(server.url, content=b"x")
        with pytest.raises(Stop):
            vendor.post(server.url, content=b"x")
        assert len(server.requests) == 1
        assert len(vendor.exchanges) == 1


@pytest.mark.parametrize("header", ["a\r\nX-Evil: 1", "a\nb", "a\x00b", "ü"])
def test_a_header_that_cannot_be_sent_is_the_connections_fault(header: str) -> None:
    with serving(http(200)) as server, client() as vendor:
        with pytest.raises(Misconfigured, match="a header holds a character"):
            vendor.post(server.url, headers={"X-Token": header}, content=b"x")
        assert server.requests == []


def test_a_body_that_cannot_be_encoded_is_the_records_fault() -> None:
    with client() as vendor, pytest.raises(Rejected, match="half a character"):
        vendor.post("http://127.0.0.1:8088/", json={"text": "\ud800"})


def test_streaming_gives_the_same_answers_and_faults() -> None:
    with serving(http(200, b"{}")) as server, client() as vendor, vendor.stream("GET", server.url) as answer:
        assert answer.read() == b"{}"
    with serving(http(503)) as server, client() as vendor, pytest.raises(Unavailable):
        vendor.stream("GET", server.url).__enter__()


def test_a_recorder_sends_nothing_and_keeps_what_would_be_sent() -> None:
    def send(vendor: VendorClient, server: FaultServer) -> None:
        vendor.post(f"{server.url}/x", params={"q": "1"}, json={"b": 2}, auth=("me", "password"))

    with serving(http(200, b"{}")) as server:
        with Recorder(vendor="Splunk", rules=Rules(HERE)) as recorder:
            for _ in range(2):
                with pytest.raises(DeliveryError):
                    send(recorder, server)
        assert server.connects == 0
        with client() as vendor:
            send(vendor, server)
        (sent,) = server.requests
    assert len(recorder.requests) == 2
    assert _as_sent(recorder.requests[0]) == sent


def _as_sent(request: httpx.Request) -> bytes:
    head = f"{request.method} {request.url.raw_path.decode()} HTTP/1.1\r\n".encode()
    head += b"".join(name + b": " + value + b"\r\n" for name, value in request.headers.raw)
    return head + b"\r\n" + request.content
