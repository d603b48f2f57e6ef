"""Four vendors on one port who misbehave: they accept and say nothing, refuse, reset, or answer too late.

Each speaks as much of its protocol as the hub uses, and keeps every copy that it was given with the attempt
it came from. The sandbox is stricter about contents; this one is only about what is lost and what comes twice.
"""

import json
import random
import re
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = re.compile(r"fiq-(?:scan|case|alert)-[0-9a-f-]{36}[a-z0-9-]*")
#: (how, weight): what happens to a request that delivers; the rest is accepted and answered
CHAOS = (
    ("accepted, answer dropped", 5),
    ("accepted, then reset", 4),
    ("accepted, answered 500", 2),
    ("accepted, answered late", 3),
    ("reset before", 4),
    ("500", 3),
    ("503", 3),
    ("429", 2),
)
GOOD = 74
#: how late Jira's search sees a new issue: sometimes only the second look finds it, sometimes the third
SEARCH_LAGS_S = (0, 20, 200, 600)


@dataclass(frozen=True)
class Copy:
    """One record as one request brought it."""

    vendor: str
    key: str
    attempt: int
    at: datetime  # the request had come whole
    ticket: str


class Vendors:
    """Running from the start; `stop` ends it. `calm` ends the chaos."""

    def __init__(self, now: Callable[[], datetime], late_s: float, seed: int, chaos: bool = True) -> None:
        self.now = now
        self.late_s = late_s
        self.chaos = chaos
        self.dice = random.Random(seed)
        self.lock = threading.Lock()
        self.copies: list[Copy] = []
        self.over = threading.Event()
        vendors = self

        class Handler(_Handler):
            them = vendors

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()

    def calm(self) -> None:
        self.chaos = False

    def credentials(self, name: str) -> dict[str, str]:
        """What a connection of this name is configured with."""
        url, slug = f"{self.url}/{vendor_of(name)}", slug_of(name)
        if slug == "splunk":
            return {"url": url, "token": "secret-token"}
        if slug == "jira":
            return {"url": url, "email": "a@example.org", "api_token": "secret-token", "project_key": "SEC"}
        return {"webhook_url": f"{url}/hook"}

    def draw(self) -> str:
        if not self.chaos:
            return "accepted"
        with self.lock:
            ways, weights = zip(*CHAOS, ("accepted", GOOD), strict=True)
            return self.dice.choices(ways, weights)[0]

    def keep(self, vendor: str, keys: list[str], attempt: int) -> str:
        """The number of the (last) ticket."""
        with self.lock:
            for key in keys:
                ticket = f"SEC-{len(self.copies) + 1}"
                self.copies.append(Copy(vendor, key, attempt, self.now(), ticket))
        return ticket

    def tickets(self, key: str) -> list[Copy]:
        """What a search shows by now; how late it is depends on the ticket."""
        with self.lock:
            found = [copy for copy in self.copies if copy.vendor == "jira" and copy.key == key]
        return [c for c in found if (self.now() - c.at).total_seconds() >= _lag_s(c)]


def slug_of(name: str) -> str:
    """`splunk-2` is the second connection to Splunk."""
    return name.split("-")[0]


def vendor_of(name: str) -> str:
    """Each connection has a vendor of its own, but for trackers: they write to one project."""
    return "jira" if slug_of(name) == "jira" else name


def _lag_s(copy: Copy) -> int:
    return SEARCH_LAGS_S[int(copy.ticket[4:]) % len(SEARCH_LAGS_S)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is what this is about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    them: Vendors

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:  # the client died: half a request is none
            self.close_connection = True
            return
        name = self.path.split("/")[1]
        if self.path.endswith("/search/jql"):
            self._answer(200, _issues(self.them.tickets(_keys("search", body)[0])))
        else:
            self._deliver(name, _keys(slug_of(name), body))

    def _deliver(self, name: str, keys: list[str]) -> None:
        way, ticket = self.them.draw(), ""
        if way.startswith("accepted"):
            ticket = self.them.keep(name, keys, int(self.headers["X-Attempt"]))
        if way.endswith(("dropped", "reset", "reset before")):
            self._hang_up(reset="reset" in way)
            return
        if way.endswith("late"):
            self.them.over.wait(self.them.late_s)
        status = int(way[-3:]) if way[-3:].isdecimal() else 200
        self._answer(status, _words(slug_of(name), status, ticket))

    def _answer(self, status: int, words: str) -> None:
        self.send_response(201 if status == 200 and "SEC-" in words else status)
        self.send_header("Content-Type", "application/json" if words.startswith("{") else "text/plain")
        self.send_header("Content-Length", str(len(words)))
        if status == 429:
            self.send_header("Retry-After", "5")
        self.end_headers()
        self.wfile.write(words.encode())

    def _hang_up(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """What came is in `copies`."""


def _keys(vendor: str, body: bytes) -> list[str]:
    """Each record's key once, in the field by which that vendor knows it."""
    text = body.decode()
    if vendor == "splunk":
        return [event["fields"]["finding_id"] for event in _objects(text)]
    if vendor == "jira":
        return [label for label in json.loads(text)["fields"]["labels"] if KEY.fullmatch(label)]
    return KEY.findall(json.loads(text)["text"] if vendor in ("slack", "keyed") else text)[:1]


def _objects(text: str) -> list[dict[str, Any]]:
    decoder, at, found = json.JSONDecoder(), 0, []
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
        at += len(text[at:]) - len(text[at:].lstrip())
    return found


def _words(vendor: str, status: int, ticket: str) -> str:
    if vendor == "splunk" and not (ticket and status == 500):  # its code 8 would say: not accepted
        return json.dumps({"text": "said", "code": {200: 0, 500: 8, 503: 9, 429: 26}[status]})
    if vendor == "jira":
        return json.dumps({"id": "1", "key": ticket} if status == 200 else {"errorMessages": ["no"]})
    return {200: "ok", 429: "rate_limited"}.get(status, "sorry")


def _issues(tickets: list[Copy]) -> str:
    return json.dumps(
        {"issues": [{"key": copy.ticket, "fields": {"labels": ["fiq", copy.key]}} for copy in tickets]}
    )
