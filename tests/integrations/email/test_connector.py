"""Mail over a real server: encryption that never falls back, sign-in, deadlines, and what may be dialled."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from core.delivery.batch import BatchDelivery
from core.http import Egress, Rules, VendorClient
from core.http.errors import DeliveryError, InDoubt, Misconfigured, Unavailable
from core.integrations.base import Item, Receipt
from core.integrations.base import Step as Step_
from core.integrations.email import connector as email
from tests.integrations.test_connectors import build
from tests.support.fault_server import certificate
from tests.support.live import reserved_port
from tests.support.mail_server import MailServer

AUTHORITY = certificate("Test authority", is_ca=True)
GOOD = certificate(by=AUTHORITY)
ITEM = Item("fiq-alert-1", '{"title":"t","text":"x","severity":"high","facts":{},"ref":"fiq-alert-1"}')
PASSWORD = "CANARYmail55d0aa"


def config(port: int, **more: Any) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": port,
        "username": "hub@example.com",
        "password": PASSWORD,
        "from_address": "hub@example.com",
        "recipients": ["ana@example.com"],
        **more,
    }


def client(allow: str = "127.0.0.1", **rules: Any) -> VendorClient:
    return VendorClient(vendor="E-mail", rules=Rules(Egress.parse(allow), **rules), secrets=[PASSWORD])


def sent(values: dict[str, Any], http: VendorClient) -> Receipt:
    (receipt,) = BatchDelivery(build("email", values, http), [ITEM])
    return receipt


def fault_of(values: dict[str, Any], http: VendorClient) -> DeliveryError:
    fault = sent(values, http).fault
    assert fault is not None
    return fault


@pytest.mark.parametrize("how", ["ca_bundle", "tls_fingerprint"])
def test_starttls_encrypts_before_the_password_is_said(tmp_path: Path, how: str) -> None:
    from cryptography.hazmat.primitives import hashes

    trusted = {"ca_bundle": AUTHORITY.cert, "tls_fingerprint": GOOD.made.fingerprint(hashes.SHA256()).hex()}
    context = GOOD.server_context(tmp_path)
    with MailServer([], tls_context=context, require_starttls=True).running() as server:
        with client(**{how: trusted[how]}) as http:
            assert sent(config(server.port), http) == Receipt("fiq-alert-1", "<fiq-alert-1@example.com>")
        assert (server.encrypted, server.signed_in) == ([True], [("hub@example.com", PASSWORD)])
        assert PASSWORD not in repr(http.exchanges)
        (exchange,) = http.exchanges
        assert (exchange.method, exchange.host, exchange.status) == ("SMTP", f"127.0.0.1:{server.port}", 250)
        assert "queued as 4F2A" in exchange.answer


def test_implicit_tls_is_encrypted_from_the_start(tmp_path: Path) -> None:
    with MailServer([], implicit_tls=GOOD.server_context(tmp_path)).running() as server:
        with client(ca_bundle=AUTHORITY.cert) as http:
            assert sent(config(server.port, security="tls"), http).fault is None
        assert len(server.requests) == 1


def test_a_server_without_starttls_gets_neither_password_nor_mail() -> None:
    with MailServer([]).running() as server, client() as http:
        fault = fault_of(config(server.port), http)
        assert type(fault) is Misconfigured
        assert "does not offer STARTTLS" in fault.message
        assert (server.requests, server.signed_in) == ([], [])


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_does_not_hold_gets_nothing(tmp_path: Path, security: str) -> None:
    context = certificate("other.example", by=AUTHORITY).server_context(tmp_path)
    how = {"implicit_tls": context} if security == "tls" else {"tls_context": context}
    with MailServer([], **how).running() as server, client(ca_bundle=AUTHORITY.cert) as http:
        fault = fault_of(config(server.port, security=security), http)
        assert type(fault) is Misconfigured
        assert "is for another name" in fault.message
        assert (server.requests, server.signed_in) == ([], [])


def test_tls_on_a_starttls_port_names_the_way_out() -> None:
    with MailServer([]).running() as server, client() as http:
        fault = fault_of(config(server.port, security="tls"), http)
        assert fault.message.endswith(
            "does not speak TLS from the start. Set security to starttls, or port to 465."
        )


def test_starttls_on_port_465_is_refused_without_a_call() -> None:
    with client() as http:
        fault = fault_of(config(465), http)
        assert fault.message == "Port 465 speaks TLS from the start. Set security to tls, or port to 587."
        assert http.exchanges == []


# --- what may be dialled --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "port", "security", "allow", "words"),
    [
        ("127.0.0.1", 587, "starttls", "", "127.0.0.1 is a loopback address"),
        ("10.0.0.5", 587, "starttls", "", "10.0.0.5 is a private address"),
        ("10.0.0.5", 587, "starttls", "10.0.0.0/8", "HUB_EGRESS_ALLOW"),  # a mail port must be named
        ("93.184.215.14", 2525, "starttls", "", "Port 2525 is not one of mail (25, 465, 587)"),
        ("93.184.215.14", 587, "none", "", "Without encryption"),
        ("93.184.215.14", 25, "none", "93.184.215.14", "Without encryption"),
        ("169.254.169.254", 587, "starttls", "169.254.169.254:587", "cloud's metadata address"),
        ("2130706433", 587, "starttls", "", "is a loopback address"),
    ],
)
def test_a_server_is_dialled_only_where_the_rules_allow_it(
    host: str, port: int, security: str, allow: str, words: str
) -> None:
    with client(allow) as http:
        fault = fault_of(config(port, host=host, security=security), http)
    assert type(fault) is Misconfigured
    assert words in fault.message


def test_a_name_that_is_not_found_is_tried_again() -> None:
    with client() as http:
        fault = fault_of(config(587, host="no-such-host.invalid"), http)
    assert type(fault) is Unavailable
    assert fault.message.endswith("Nothing was sent.")


def test_nobody_listening_is_said() -> None:
    port = reserved_port()
    with client() as http:
        fault = fault_of(config(port, security="none"), http)
    assert fault.message == f"E-mail: nobody listens on 127.0.0.1:{port}. Nothing was sent."


def test_the_lease_is_asked_for_before_a_line_is_opened() -> None:
    calls: list[int] = []
    with MailServer([]).running() as server, client() as http:
        http.before_call = lambda: calls.append(1)
        sent(config(server.port, security="none"), http)
    assert calls == [1]


# --- servers that misbehave -----------------------------------------------------------------------------


@contextmanager
def telling(*lines: bytes, forever: bytes = b"", pause_s: float = 0.0) -> Iterator[int]:
    """A server that answers each line it hears with the next of `lines`, then repeats `forever` or hangs up."""
    ended = threading.Event()

    def talk(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            try:
                for line in lines:
                    peer.sendall(line)
                    if line.endswith(b"\n"):
                        peer.recv(4096)
                while forever and not ended.wait(pause_s):
                    peer.sendall(forever)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk, args=(listener,), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()


def test_a_trickle_ends_with_the_deadline_and_nothing_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email, "DEADLINE_S", 0.4)
    with telling(forever=b"2", pause_s=0.02) as port, client() as http:
        fault = fault_of(config(port, security="none"), http)
    assert type(fault) is Unavailable
    assert "did not answer at the connection" in fault.message


@pytest.mark.parametrize("forever", [b"250-x\r\n" * 1000, b"2" * 5000])
def test_an_endless_answer_is_cut(forever: bytes) -> None:
    began = time.monotonic()
    with telling(b"220 hello\r\n", forever=forever) as port, client() as http:
        fault = fault_of(config(port, security="none"), http)
    assert isinstance(fault, Unavailable | Misconfigured)
    assert time.monotonic() - began < email.DEADLINE_S / 2  # by its length, not by its time


def test_a_line_that_breaks_after_the_mail_is_in_doubt_and_before_it_is_not() -> None:
    hello = (b"220 x\r\n", b"250 x\r\n", b"250 sender\r\n", b"250 recipient\r\n", b"354 go\r\n")
    anonymous = {"username": "", "security": "none"}
    with telling(*hello[:4]) as port, client() as http:
        assert type(fault_of(config(port, **anonymous), http)) is Unavailable
    with telling(*hello) as port, client() as http:
        assert type(fault_of(config(port, **anonymous), http)) is InDoubt


def test_what_is_said_before_starttls_does_not_count_after_it(tmp_path: Path) -> None:
    """CVE-2011-0411: a line slipped in behind the answer to STARTTLS must not be read as the server's."""
    context = GOOD.server_context(tmp_path)

    def talk(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        for line in (b"220 x\r\n", b"250-x\r\n250 STARTTLS\r\n", b"220 go\r\n250 slipped in\r\n"):
            peer.sendall(line)
            if b"go" not in line:
                peer.recv(4096)
        with context.wrap_socket(peer, server_side=True) as secure:
            for line in (b"250-x\r\n250 AUTH PLAIN\r\n", b"235 welcome\r\n"):
                secure.recv(4096)
                secure.sendall(line)
            secure.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk, args=(listener,), daemon=True)
        thread.start()
        with client(ca_bundle=AUTHORITY.cert) as http:
            fault = fault_of(config(listener.getsockname()[1]), http)
        thread.join(timeout=10)
    assert fault.message == "The mail server broke off or did not answer at the sender. Nothing was sent."


def test_a_mail_larger_than_the_server_says_is_not_sent() -> None:
    with MailServer([], data_size_limit=300).running() as server, client() as http:
        fault = fault_of(config(server.port, security="none"), http)
        assert "and the server takes 300." in fault.message
        assert server.requests == []


def test_a_test_sends_no_mail(tmp_path: Path) -> None:
    with MailServer([], tls_context=GOOD.server_context(tmp_path)).running() as server:
        with client(ca_bundle=AUTHORITY.cert) as http:
            steps: list[Step_] = list(build("email", config(server.port), http).check())
        assert [(step.name, step.ok) for step in steps] == [
            ("network", True),
            ("tls", True),
            ("credentials", True),
            ("permission", True),
            ("target", True),
        ]
        assert server.requests == []
