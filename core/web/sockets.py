"""What a peer's socket may cost: how long it may say nothing, how much it may say, and how many one address may have.

uvicorn ends a socket that has asked once and asks nothing more (`timeout_keep_alive`). One that never asks, asks a byte
at a time or never takes its answer it would keep for ever: this ends those, so that files are left for others.
"""

import resource
from asyncio import Transport
from asyncio.events import TimerHandle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from core.platform.settings import Network
from core.web.proxies import is_trusted, subscriber

#: files that are not sockets of peers: databases, logs, vendors' sockets, Streamlit's
OWN_FILES = 256
#: more than any hub has people; a bound where the system has none
MOST = 4_096


@dataclass(frozen=True)
class SocketLimits:
    """How long a peer has: `head_s` for the whole head of a request, `pause_s` between two parts of a body, `body_s`
    for all of it (5 MiB at 0.35 Mbit/s), `answer_s` to take more of its answer. And how many sockets there are.
    """

    head_s: float = 10
    pause_s: float = 20
    body_s: float = 120
    answer_s: float = 60
    head_bytes: int = 65_536
    most: int = MOST
    per_address: int = 256
    trusted: Sequence[Network] = ()  # proxies, which ask for many people


def limits(trusted: Sequence[Network]) -> SocketLimits:
    """As many sockets as this process may have files; one address has a quarter of them at most."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = MOST if files < 0 else max(64, min(MOST, files - OWN_FILES))  # -1: as many as one likes
    return SocketLimits(most=most, per_address=min(256, most // 4), trusted=trusted)


class BoundedSocket(HttpToolsProtocol):
    """One socket of a peer. At most one timer is set: for the head or the body that is awaited."""

    def __init__(self, limits: SocketLimits, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.limits = limits
        self._timer: TimerHandle | None = None
        self._stalled: TimerHandle | None = None
        self._head_bytes = 0
        self._is_in_head = self._is_in_body = self._is_upgraded = False
        self._body_until = 0.0
        self._since = self.loop.time()

    @property
    def is_idle(self) -> bool:
        """Nothing that it asked is being answered."""
        return self.cycle is None or self.cycle.response_complete

    # --- what uvicorn calls -----------------------------------------------------------------------

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._is_one_too_many():
            self._refuse(
                503, "You have too many connections open, or the hub has. Close some, or try again later."
            )
        else:
            self._arm(self.limits.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        was_in_head = self._is_in_head
        super().data_received(data)
        if self._is_upgraded or self.transport.is_closing():
            return
        if self._is_in_body:
            self._await_body()
        else:
            self._await_head(len(data) if was_in_head and self._is_in_head else 0)

    def on_message_begin(self) -> None:
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head, self._is_in_body = False, True
        self._body_until = self.loop.time() + self.limits.body_s
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_in_body = False
        self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._since = self.loop.time()

    def handle_websocket_upgrade(self) -> None:
        """The socket is another protocol's from now on, which asks for a sign of life every 20 s."""
        self._is_upgraded = True
        self._disarm()
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self.limits.answer_s, self.transport.abort)

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    # --- the limits -------------------------------------------------------------------------------

    def _is_one_too_many(self) -> bool:
        address = self.client[0] if self.client else ""
        if not is_trusted(address, self.limits.trusted):
            peers = (getattr(each, "client", None) for each in self.connections)
            of_one = sum(1 for peer in peers if peer and subscriber(peer[0]) == subscriber(address))
            if of_one > self.limits.per_address:
                return True
        return len(self.connections) > self.limits.most and not self._makes_room()

    def _makes_room(self) -> bool:
        """The one that has been idle for longest goes for whoever comes: its next request opens another."""
        others = (each for each in self.connections if isinstance(each, BoundedSocket) and each is not self)
        idle = [each for each in others if each.is_idle and not each.transport.is_closing()]
        if not idle:
            return False
        min(idle, key=lambda each: each._since).transport.abort()
        return True

    def _await_head(self, size: int) -> None:
        """The timer goes on from the first byte: a head that comes a byte at a time gets no more time."""
        self._head_bytes += size  # of what continues it; the first part is one read at most
        if self._head_bytes > self.limits.head_bytes:
            self._refuse(
                431, "The head of the request is too long. Send shorter headers or a shorter address."
            )
        elif self._timer is None and self.is_idle:
            self._arm(self.limits.head_s)

    def _await_body(self) -> None:
        self._arm(min(self.limits.pause_s, self._body_until - self.loop.time()))

    def _late(self) -> None:
        if self.transport.is_closing():  # the other end went in the same moment
            return
        if self._is_in_body and self.flow.read_paused:  # it is the hub that does not read
            self._body_until += self.limits.pause_s
            self._await_body()
        else:
            self._refuse(408, "The request took too long to come in. Send it again.")

    def _refuse(self, status: int, sentence: str) -> None:
        """With a word, unless that would be taken for a part of an answer."""
        self._disarm()
        has_begun = self.cycle is not None and self.cycle.response_started
        if has_begun and (self._is_in_body or not self.is_idle):
            return self.transport.abort()
        headers = f"content-type: text/plain\r\nconnection: close\r\ncontent-length: {len(sentence)}\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + headers.encode() + sentence.encode())
        return self.transport.close()

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(max(0.0, seconds), self._late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
