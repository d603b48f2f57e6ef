"""Peers that ask slowly, half or not at all: they are gone in time, and leave sockets for others."""

import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.sync.client import connect

from core.web import server, sockets
from core.web.sockets import MOST, OWN_FILES, SocketLimits
from tests.support.api_client import listening
from tests.support.live import until

pytestmark = pytest.mark.security

QUICK = SocketLimits(head_s=0.5, pause_s=0.5, body_s=1.5, answer_s=0.5, most=40, per_address=20)
PATIENT_S = 10  # until a socket that must be ended in half a second is
HEAD = b"POST /length HTTP/1.1\r\nHost: hub\r\nContent-Length: 100000\r\n\r\n"
left: list[str] = []


async def _length(request: Request) -> Response:
    try:
        return PlainTextResponse(str(len(await request.body())))
    except ClientDisconnect:
        left.append("in its body")
        raise


async def _hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def _much(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        try:
            for _ in range(1_000):
                yield b"x" * 65_536
        finally:
            left.append("in its answer")

    return StreamingResponse(parts())


async def _unread(request: Request) -> Response:
    return PlainTextResponse("no", 403)


async def _echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


APP = Starlette(
    routes=[
        WebSocketRoute("/echo", _echo),
        Route("/", _hello),
        Route("/length", _length, methods=["POST"]),
        Route("/much", _much),
        Route("/unread", _unread, methods=["POST"]),
    ]
)


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with listening(APP, QUICK) as url:
        yield url


@contextmanager
def _peer(url: str, *said: bytes) -> Iterator[socket.socket]:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENT_S) as peer:
        for part in said:
            peer.sendall(part)
        yield peer


def _rest(peer: socket.socket) -> bytes:
    """What is said until the hub ends the socket; it must."""
    said = b""
    try:
        while part := peer.recv(65_536):
            said += part
    except ConnectionResetError:
        pass
    return said


def _drip(peer: socket.socket, data: bytes, every_s: float) -> bytes:
    """A byte at a time, until the hub ends the socket; what it says then."""
    peer.settimeout(every_s)
    for byte in data:
        try:
            peer.sendall(bytes([byte]))
            return peer.recv(65_536)
        except TimeoutError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            return b""
    raise AssertionError("all of it was taken")


def _is_well(url: str) -> bool:
    return httpx.get(url, trust_env=False).text == "hello"


@pytest.mark.parametrize(
    "said",
    [(), (b"\r\n",), (b"GE",), (b"GET / HTTP/1.1\r\nHost: hub\r\nX-Slow: ",), (HEAD[:-2],)],
    ids=["nothing", "an empty line", "half a word", "half a header", "all but the last line"],
)
def test_who_does_not_ask_is_sent_away(hub: str, said: tuple[bytes, ...]) -> None:
    with _peer(hub, *said) as peer:
        assert b" 408 " in _rest(peer)


def test_a_head_that_comes_by_the_byte_gets_no_more_time(hub: str) -> None:
    with _peer(hub, b"GET / HTTP/1.1\r\n") as peer:
        _drip(peer, b"X-Slow: " + b"x" * 100, 0.1)


def test_so_it_is_after_an_answer(hub: str) -> None:
    with _peer(hub, b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n") as peer:
        assert peer.recv(65_536).endswith(b"hello")
        peer.sendall(b"GET / HTTP/1.1\r\nHos")
        assert b" 408 " in _rest(peer)


@pytest.mark.long
@pytest.mark.parametrize("path", [b"/length", b"/unread"])
def test_a_body_that_stops_or_trickles_is_given_up(hub: str, path: bytes) -> None:
    left.clear()
    head = HEAD.replace(b"/length", path)
    with _peer(hub, head, b"x" * 1_000) as peer:
        assert (b" 408 " in _rest(peer)) is (path == b"/length")
    with _peer(hub, head) as peer:
        said = b"" if path == b"/length" else peer.recv(65_536)
        said += _drip(peer, b"x" * 100, 0.1)
        assert (b" 408 " if path == b"/length" else b" 403 ") in said
    if path == b"/length":
        until(lambda: len(left) == 2, "the app still waits for them")


def test_a_body_that_keeps_coming_in_time_is_taken(hub: str) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(8):
            time.sleep(0.1)
            yield b"x" * 100_000

    assert httpx.post(f"{hub}/length", content=parts(), trust_env=False).text == "800000"


def test_a_head_without_end_is_cut(hub: str) -> None:
    with _peer(hub, b"GET / HTTP/1.1\r\nHost: hub\r\n") as peer:
        try:
            for _ in range(200):
                peer.sendall(b"X-Much: " + b"x" * 8_000 + b"\r\n")
        except (ConnectionResetError, BrokenPipeError):
            return
        assert b" 431 " in _rest(peer)


def test_so_is_one_that_comes_while_another_request_is_answered() -> None:
    with listening(APP, SocketLimits(answer_s=60)) as url, _peer(url) as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        peer.sendall(b"GET /much HTTP/1.1\r\nHost: hub\r\n\r\nGET / HTTP/1.1\r\n")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(2_000):
                peer.sendall(b"X-Much: " + b"x" * 8_000 + b"\r\n")


def test_who_does_not_take_the_answer_is_left(hub: str) -> None:
    left.clear()
    with _peer(hub, b"GET /much HTTP/1.1\r\nHost: hub\r\n\r\n"):
        until(lambda: left == ["in its answer"], "the app still waits for it", PATIENT_S)


def test_one_address_has_so_many_sockets_and_is_told_so() -> None:
    patient = SocketLimits(most=40, per_address=20)
    with listening(APP, patient) as url, ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(_peer(url))
        with _peer(url) as peer:
            said = _rest(peer)
        assert b" 503 " in said
        assert b"too many connections open" in said
    with listening(APP, patient) as url, ExitStack() as stack:
        for _ in range(19):
            stack.enter_context(_peer(url))
        assert _is_well(url)


def test_a_trusted_proxy_asks_for_many() -> None:
    trusted = server.settings().model_copy(update={"trusted_proxies": "127.0.0.1"}).trusted_networks
    with listening(APP, SocketLimits(most=40, per_address=20, trusted=trusted)) as url, ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(_peer(url))
        assert _is_well(url)


def test_when_all_sockets_are_taken_the_idle_make_room() -> None:
    """More strangers than there may be sockets, from many addresses, and each may stay for ten seconds."""
    with listening(APP, SocketLimits(most=30, per_address=100)) as url, ExitStack() as stack:
        peers = [stack.enter_context(_peer(url)) for _ in range(60)]
        assert all(_is_well(url) for _ in range(5))
        assert _rest(peers[0]) == b""  # the first to come was the first to go


def test_as_many_sockets_as_there_are_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, most, per_address in (
        (1_024, 1_024 - OWN_FILES, 192),
        (65_536, MOST, 256),
        (resource.RLIM_INFINITY, MOST, 256),
        (256, 64, 16),
    ):
        monkeypatch.setattr(sockets.resource, "getrlimit", lambda _, files=files: (files, files))
        found = sockets.limits(())
        assert (found.most, found.per_address) == (most, per_address)


def test_the_hub_is_served_with_these_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    configs: list[Any] = []
    monkeypatch.setattr(server.uvicorn.Server, "run", lambda self, sockets: configs.append(self.config))
    monkeypatch.setattr(server, "create_app", lambda: APP)
    server.serve("127.0.0.1", 0)
    assert configs[0].http.args == (sockets.limits(()),)


@pytest.mark.long
def test_a_page_that_stays_open_is_no_late_request(hub: str) -> None:
    with connect(hub.replace("http", "ws") + "/echo", proxy=None) as page:
        time.sleep(3 * QUICK.head_s)  # nothing is to happen, so there is nothing to wait for
        page.send("still here")
        assert page.recv(timeout=PATIENT_S) == "still here"
