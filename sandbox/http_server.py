"""HTTP on a loopback port: reads a bounded request, sends the answer, or really loses it."""

import contextlib
import errno
import http
import ipaddress
import re
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sandbox.contract import BODY_BYTES_MAX, Answer, Request, text_answer

IDLE_S = 120
DISCARD_BYTES_MAX = 64 * 1024 * 1024  # a body too large is read away, so that the sender sees the 413

Handle = Callable[[Request], Answer]


class Port(ThreadingHTTPServer):
    """Listens from the moment it is made; answers from `serve_forever` on."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, handle: Handle) -> None:
        self.handle = handle
        self.stopping = threading.Event()
        self.open: set[socket.socket] = set()
        super().__init__((_loopback(host), port), Exchange)

    def server_bind(self) -> None:
        try:
            socketserver.TCPServer.server_bind(self)  # HTTPServer's asks the resolver for a name nobody needs
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise OSError(
                f"Port {self.server_address[1]} is already in use. Give the sandbox another port."
            ) from error
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End every open connection: one kept alive would go on being answered after the stop."""
        self.stopping.set()
        for connection in list(self.open):
            with contextlib.suppress(OSError):  # the other side was quicker
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that left is no error of ours
            super().handle_error(request, client_address)


def _loopback(host: str) -> str:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        if ipaddress.IPv4Address(address).is_loopback:
            return address
    except ValueError:
        pass
    raise ValueError(f"The sandbox listens on this machine only, not on {host}. Leave the host at 127.0.0.1.")


class Exchange(BaseHTTPRequestHandler):
    """One connection, kept alive as vendors do."""

    server: Port
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    wbufsize = 65_536
    disable_nagle_algorithm = True

    def serve(self) -> None:
        answer = self._refused_size() or self.server.handle(self._request())
        if answer.wait_s:
            self.server.stopping.wait(answer.wait_s)
        if answer.cut:
            self._lose(reset=answer.cut == "reset")
        else:
            self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = serve

    def _request(self) -> Request:
        body = self.rfile.read(self._length())
        if len(body) < self._length():
            raise ConnectionAbortedError("the sender left in the middle of its request")
        target = urlsplit(re.sub("^/+", "/", self.path))
        return Request(
            method=self.command,
            path=unquote(target.path),
            query=dict(parse_qsl(target.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )

    def _length(self) -> int:
        given = self.headers.get("Content-Length", "0")
        return int(given) if given.isdecimal() else -1

    def _refused_size(self) -> Answer | None:
        if self.headers.get("Transfer-Encoding") or self._length() < 0:
            self.close_connection = True
            return text_answer(411, "Length Required")
        if self._length() <= BODY_BYTES_MAX:
            return None
        self.close_connection = True
        left = min(self._length(), DISCARD_BYTES_MAX)
        while left > 0 and (chunk := self.rfile.read(min(left, 65_536))):
            left -= len(chunk)
        return text_answer(413, f"Content-Length of {self._length()} too large (maximum is {BODY_BYTES_MAX})")

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status, http.HTTPStatus(answer.status).phrase)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.reason:
            self.send_header("X-Sandbox-Reason", re.sub(r"[^ -~]", "?", answer.reason)[:300])
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _lose(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            linger_none = struct.pack("ii", 1, 0)  # closing then sends RST instead of FIN
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_none)
            self.connection.close()

    def version_string(self) -> str:
        return "hub-sandbox"

    def log_message(self, format: str, *args: Any) -> None:
        """What arrived is on the page; a line per request would drown the terminal."""
