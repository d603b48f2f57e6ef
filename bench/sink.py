"""A vendor that takes everything: keeps what it was sent, counts the records in it when asked, may take its time.

It answers as Splunk's collector does, which the others take as well. What is measured is who sends, so nothing is
read while they do: the records are counted afterwards, each once, by their ids (`bench-000000042`).

    with Sink() as sink:
        sink.begin(wait_ms=50)
        …                           # somebody posts to sink.url
        sink.until(1_500)
"""

import asyncio
import gzip
import re
import subprocess
import sys
import time
from types import TracebackType
from typing import Any, Self

import httpx
import uvloop

ID = re.compile(rb"bench-\d{9}")
ANSWER = b'{"text":"Success","code":0}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
ZIPPED = re.compile(rb"\r\ncontent-encoding: *gzip", re.IGNORECASE)
EXPECTS = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)
LOOK_S = 0.02


def name(number: int) -> str:
    """The id by which the sink knows record `number`."""
    return f"bench-{number:09}"


class Sink:
    """The sink's process, from here."""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen([sys.executable, "-m", "bench.sink"], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait(30)

    def begin(self, wait_ms: int = 0) -> None:
        """Forget everything, and take so long for each answer from now on."""
        self.client.put(f"/begin/{wait_ms}")

    def arrived(self) -> int:
        """How many different records are here."""
        return int(self.client.put("/arrived").text)

    def until(self, count: int, limit_s: float = 120) -> int:
        """Wait until so many are here, `limit_s` at most; how many are."""
        deadline = time.monotonic() + limit_s
        while (here := self.arrived()) < count and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        return here


class Kept:
    """What was sent since `begin`: raw requests, and the ids of those that were read already."""

    def __init__(self) -> None:
        self.begin(0)

    def begin(self, wait_ms: int) -> None:
        self.wait_s = wait_ms / 1000
        self.unread: list[tuple[bytes, bytes]] = []
        self.ids: set[bytes] = set()

    def count(self) -> int:
        for head, body in self.unread:
            plain = gzip.decompress(body) if ZIPPED.search(head) else body
            self.ids.update(ID.findall(head.split(b"\r\n", 1)[0]), ID.findall(plain))
        self.unread = []
        return len(self.ids)


class Receiver(asyncio.Protocol):
    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.got = bytearray()
        self.needs = 0  # bytes until the request that has begun is whole
        self.begun = 0  # where its body begins

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += data
        while self._begin() and len(self.got) >= self.needs:
            head, body = bytes(self.got[: self.begun]), bytes(self.got[self.begun : self.needs])
            del self.got[: self.needs]
            self.needs = 0
            self._take(head, body)

    def _begin(self) -> bool:
        """Whether the head of a request is here."""
        if not self.needs and (end := self.got.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.got[:end])
            length = LENGTH.search(head)
            self.begun = end + 4
            self.needs = self.begun + (int(length[1]) if length else 0)
            if EXPECTS.search(head):
                self.transport.write(GO_ON)
        return self.needs > 0

    def _take(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"PUT "):
            return self._obey(head.split(b" ", 2)[1].decode())
        if body:
            self.kept.unread.append((head, body))
        if self.kept.wait_s:
            asyncio.get_running_loop().call_later(self.kept.wait_s, self._answer, ANSWER)
        else:
            self._answer(ANSWER)

    def _obey(self, path: str) -> None:
        if path.startswith("/begin/"):
            self.kept.begin(int(path.rpartition("/")[2]))
        self._answer(str(self.kept.count()).encode())

    def _answer(self, body: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(HEAD % len(body) + body)


async def _serve() -> None:
    kept = Kept()
    server = await asyncio.get_running_loop().create_server(
        lambda: Receiver(kept), "127.0.0.1", 0, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        uvloop.run(_serve())
    except KeyboardInterrupt:
        sys.exit(0)
