"""A raw-socket server that misbehaves on purpose, and the certificates for it. Loopback only."""

import datetime as dt
import ipaddress
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Script = Callable[["Peer"], None]


@dataclass
class Peer:
    """One accepted connection: the request as it came, and the socket to misbehave on."""

    sock: socket.socket
    request: bytes
    over: threading.Event
    keep_alive: bool = False

    def send(self, data: bytes) -> None:
        """An answer says that the connection ends with it, so that no client sends its next request into the end."""
        end = data.find(b"\r\n\r\n")
        if end < 0 or not data.startswith(b"HTTP/1.1 ") or self.keep_alive:
            return self.sock.sendall(data)
        self.sock.sendall(data[:end] + b"\r\nConnection: close")
        self.sock.sendall(memoryview(data)[end:])  # no copy: tests of memory measure this process
        return None

    def answer_and_leave(self, data: bytes) -> None:
        """The answer and FIN in one segment, so that whoever has read it sees the end as well."""
        self.sock.send(data, socket.MSG_MORE)
        self.sock.shutdown(socket.SHUT_WR)

    def trickle(self, data: bytes, pause_s: float) -> None:
        """One byte at a time until all is said, the other side leaves, or the test is over."""
        for byte in data:
            if self.over.wait(pause_s):
                return
            self.sock.sendall(bytes([byte]))

    def hang(self) -> None:
        """Say nothing until the test is over."""
        self.over.wait(10)

    def reset(self) -> None:
        """RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


@dataclass
class FaultServer:
    """Runs `script` once for each request it reads; `requests` keeps them, `connects` counts connections."""

    script: Script
    tls: ssl.SSLContext | None = None
    keep_alive: bool = False
    greeting: bytes = b""
    family: socket.AddressFamily = socket.AF_INET
    at_port: int = 0
    hang_up: bool = False  # RST as soon as something comes, unread
    requests: list[bytes] = field(default_factory=list)
    connects: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        host = "127.0.0.1" if self.family == socket.AF_INET else "::1"
        self.listener = socket.create_server((host, self.at_port), family=self.family)
        self.port: int = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def stop(self) -> None:
        if self.over.is_set():
            return
        self.over.set()
        # the thread first: closed under it, its number may be another listener's when it accepts next
        self.listener.shutdown(socket.SHUT_RDWR)
        self.acceptor.join()
        self.listener.close()

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connects += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(10)
        try:
            if self.hang_up:
                select.select([sock], [], [], 10)  # something came; it is not read
                return Peer(sock, b"", self.over).reset()
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            with sock:
                sock.sendall(self.greeting)
                self._answer(sock)
        except (OSError, ValueError):
            return  # the client left, which is what many of these tests are about

    def _answer(self, sock: socket.socket) -> None:
        while request := read_request(sock):
            self.requests.append(request)
            self.script(Peer(sock, request, self.over, self.keep_alive))
            if not self.keep_alive:
                return


def read_request(sock: socket.socket) -> bytes:
    """Headers and, by Content-Length, the body."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = sock.recv(65536)
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line[15:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while lengths and len(body) < int(lengths[0]):
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def serving(script: Script | bytes, **options: object) -> Iterator[FaultServer]:
    """A server for the length of a test. Plain bytes are sent as they are."""
    said = script if callable(script) else lambda peer: peer.send(script)
    server = FaultServer(said, **options)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def holding(answer: bytes) -> Iterator[tuple[FaultServer, threading.Event]]:
    """A server that answers when the event is set: as slow as the test needs it, on any machine."""
    let_go = threading.Event()

    def answer_then(peer: Peer) -> None:
        let_go.wait(15)  # less than a call may take
        peer.send(answer)

    with serving(answer_then) as server:
        try:
            yield server, let_go
        finally:
            let_go.set()


def http(status: int, body: bytes = b"", *headers: str, reason: str = "X") -> bytes:
    """A well-formed answer."""
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def json_answer(status: int, body: str, *headers: str) -> bytes:
    return http(status, body.encode(), "Content-Type: application/json", *headers)


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key, both as PEM."""

    cert: str
    key: str
    made: x509.Certificate
    signer: ec.EllipticCurvePrivateKey

    @property
    def fingerprint(self) -> str:
        return self.made.fingerprint(hashes.SHA256()).hex(":").upper()

    def server_context(self, folder: Path, *, client_ca: "Certificate | None" = None) -> ssl.SSLContext:
        path = folder / f"{self.made.serial_number}.pem"
        path.write_text(self.cert + self.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=client_ca.cert)
        return context


def certificate(
    name: str = "127.0.0.1", *, by: Certificate | None = None, days: int = 30, is_ca: bool = False
) -> Certificate:
    """Signed `by` an authority, or by itself; `days` below zero makes it expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.made.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=60))
        .not_valid_after(today + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_alternative(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False
        )
    )
    made = builder.sign(by.signer if by else key, hashes.SHA256())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Certificate(made.public_bytes(serialization.Encoding.PEM).decode(), pem.decode(), made, key)


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
