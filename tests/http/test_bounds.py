"""One call to a vendor: at most 20 s in all, 1 MiB decoded and 2 MiB of memory, whatever is answered."""

import contextlib
import gzip
import threading
import tracemalloc
import zlib
from dataclasses import dataclass

import pytest

from core.delivery.retry import MAX_WAIT_S
from core.delivery.runs import LEASE_S
from core.http import Egress, Rules, VendorClient
from core.http import client as client_module
from core.http.answer import MAX_ANSWER_BYTES
from core.http.errors import DeliveryError, InDoubt
from tests.support.fault_server import Peer, Script, http, serving

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
BOMB = gzip.compress(bytes(64 * MIB), mtime=0)
PRINTABLE_BOMB = gzip.compress(b'{"message": "' + b"x" * (32 * MIB), mtime=0)
DOUBLE = gzip.compress(BOMB, mtime=0)


def client(deadline_s: float | None = None, secrets: tuple[str, ...] = ("canary-secret",)) -> VendorClient:
    rules = Rules(Egress.parse("127.0.0.1"))
    return VendorClient(vendor="Splunk", rules=rules, deadline_s=deadline_s, secrets=secrets)


@dataclass
class Flood:
    """Sends without end and counts; a client that hangs up ends it."""

    head: bytes
    sent: int = 0
    over: threading.Event | None = None

    def __call__(self, peer: Peer) -> None:
        self.over = threading.Event()
        chunk = b"x" * 65536
        try:
            peer.send(self.head)
            while not peer.over.is_set():
                peer.send(chunk)
                self.sent += len(chunk)
        finally:
            self.over.set()


def packed(encoding: str, body: bytes, status: int = 200) -> bytes:
    return http(status, body, f"Content-Encoding: {encoding}", "Content-Type: application/json")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(packed("gzip", BOMB), id="bomb"),
        pytest.param(packed("gzip", PRINTABLE_BOMB), id="bomb of JSON"),
        pytest.param(packed("gzip", BOMB, 500), id="bomb with a refusal"),
        pytest.param(packed("deflate", zlib.compress(bytes(16 * MIB))), id="deflate bomb"),
        pytest.param(packed("gzip, gzip", DOUBLE), id="double"),
        pytest.param(packed("gzip", DOUBLE), id="double, told once"),
        pytest.param(Flood(b"HTTP/1.1 200 OK\r\n\r\n"), id="endless"),
        pytest.param(Flood(b"HTTP/1.1 400 No\r\n\r\n"), id="endless refusal"),
        pytest.param(Flood(b"HTTP/1.1 200 OK\r\nX: "), id="endless header"),
        pytest.param(Flood(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n"), id="chunk"),
        pytest.param(http(200, b"x" * MIB), id="all that is allowed"),
        pytest.param(http(400, b"[" + b"0," * (500 * 1024) + b"0]"), id="a long list"),
    ],
)
def test_a_hostile_answer_costs_two_mebibytes_at_most(answer: Script | bytes) -> None:
    with serving(http(200, b"{}")) as server, client() as vendor:
        vendor.post(server.url, content=b"{}")  # what is made once, at a client's first call
        server.script = answer if callable(answer) else lambda peer: peer.send(answer)
        vendor.exchanges.clear()
        tracemalloc.start()
        try:
            with contextlib.suppress(DeliveryError):  # what it means is shown elsewhere
                vendor.post(server.url, content=b"{}")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        (exchange,) = vendor.exchanges
    assert peak <= 2 * MIB, f"{peak / MIB:.2f} MiB"
    assert exchange.bytes_in <= MAX_ANSWER_BYTES + 65536
    assert len(exchange.answer) <= 2000


def test_an_endless_answer_is_hung_up_on() -> None:
    """What left the vendor beyond the 1 MiB that was read is in the kernel's buffers and stops there."""
    flood = Flood(b"HTTP/1.1 200 OK\r\n\r\n")
    with serving(flood) as server, client() as vendor, pytest.raises(InDoubt, match="longer than 1 MiB"):
        vendor.post(server.url, content=b"{}")
    assert flood.over is not None
    assert flood.over.wait(10)
    assert flood.sent <= 16 * MIB


@dataclass
class Drip:
    """A byte every 0.1 s for ten seconds; `sent` is how many it could say before the client had enough."""

    head: bytes
    sent: int = 0

    def __call__(self, peer: Peer) -> None:
        self.done = threading.Event()
        try:
            peer.send(self.head)
            while self.sent < 100 and not peer.over.wait(
                0.1
            ):  # a client that waits for more is red, not hung
                peer.send(b"x")
                self.sent += 1
        finally:
            self.done.set()


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"", id="status line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Slow: ", id="headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", id="body"),
        pytest.param(b"HTTP/1.1 500 No\r\nContent-Length: 100000\r\n\r\n", id="body of a refusal"),
        pytest.param(packed("gzip", BOMB[:100])[:-1].replace(b"100", b"100000"), id="packed body"),
    ],
)
def test_the_deadline_is_of_the_whole_call_not_of_a_read(head: bytes, method: str) -> None:
    """By the bytes that a slow server could send: with a timeout per read it would never stop."""
    drip = Drip(head)
    with serving(drip) as server:
        with client(deadline_s=0.5) as vendor, pytest.raises(DeliveryError):
            vendor.request(method, server.url, content=b"{}")
        assert drip.done.wait(10)
    assert drip.sent < 100  # 7 on an idle machine: 5 in time, one on its way, one until the server notices


def test_a_call_ends_within_a_third_of_its_lease_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert client_module.DEADLINE_S == 20
    assert client_module.DEADLINE_S <= 0.4 * LEASE_S < MAX_WAIT_S
    monkeypatch.setattr(client_module, "DEADLINE_S", 0.2)  # read with each client, so one place rules all
    late = pytest.raises(InDoubt, match=r"no answer within 0\.2 s")
    with serving(lambda peer: peer.hang()) as server, client() as vendor, late:
        vendor.post(server.url, content=b"{}")


def test_two_tries_of_a_vendor_that_is_slow_each_have_their_own_deadline() -> None:
    drip = Drip(b"")
    with serving(drip) as server, client(deadline_s=0.3) as vendor:
        for _ in range(2):
            with pytest.raises(InDoubt):
                vendor.post(server.url, content=b"{}")
        assert server.connects == 2
