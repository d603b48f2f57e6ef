"""Who the other side must prove to be: each way to fail has its words, and nothing switches the check off."""

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from core.http import Egress, Rules, VendorClient
from core.http.errors import DeliveryError, InDoubt, Misconfigured, Unavailable
from core.http.tls import default_context, parse_fingerprint, trust
from core.platform.secret import Secret
from tests.support.fault_server import Certificate, Peer, certificate, http, serving

HERE = Egress.parse("127.0.0.1")
AUTHORITY = certificate("Test authority", is_ca=True)
GOOD = certificate(by=AUTHORITY)


def client(**rules: Any) -> VendorClient:
    return VendorClient(vendor="Splunk", rules=Rules(HERE, **rules), deadline_s=3)


def fault_with(context: ssl.SSLContext | None, url: str = "", **rules: Any) -> DeliveryError:
    with serving(http(200, b"{}"), tls=context) as server, client(**rules) as vendor:
        with pytest.raises(DeliveryError) as caught:
            vendor.post(url.format(port=server.port) or server.url, content=b"canary")
        assert server.requests == []
    return caught.value


def delivers(context: ssl.SSLContext, **rules: Any) -> bool:
    with serving(http(200, b"{}"), tls=context) as server, client(**rules) as vendor:
        return vendor.post(server.url, content=b"x").status_code == 200


@pytest.mark.parametrize(
    ("shown", "authority", "words"),
    [
        (certificate(by=AUTHORITY, days=-1), AUTHORITY, "has expired"),
        (certificate("other.example", by=AUTHORITY), AUTHORITY, "is for another name"),
        (certificate("10.9.8.7", by=AUTHORITY), AUTHORITY, "is for another name"),
        (GOOD, None, "is signed by an authority that the hub does not know"),
        (certificate(), None, "is self-signed"),
    ],
)
def test_a_certificate_that_does_not_hold_is_refused_in_words(
    shown: Certificate, authority: Certificate | None, words: str, tmp_path: Path
) -> None:
    fault = fault_with(shown.server_context(tmp_path), ca_bundle=authority.cert if authority else None)
    assert type(fault) is Misconfigured
    assert fault.message.startswith(f"Splunk: the certificate of 127.0.0.1 {words}")


def test_an_own_authority_is_trusted_in_addition(tmp_path: Path) -> None:
    assert delivers(GOOD.server_context(tmp_path), ca_bundle=AUTHORITY.cert)
    public = trust().context.cert_store_stats()["x509_ca"]
    assert trust(AUTHORITY.cert).context.cert_store_stats()["x509_ca"] == public + 1


@pytest.mark.parametrize(
    "spelling", ["{0}", "sha256:{1}", "SHA256 Fingerprint={0}", "sha256 Fingerprint={0}", " {2} \n", "{1}"]
)
def test_a_self_signed_certificate_is_trusted_by_its_fingerprint(spelling: str, tmp_path: Path) -> None:
    own = certificate("other.example")
    colons = own.fingerprint
    text = spelling.format(colons, colons.replace(":", "").lower(), colons.replace(":", " "))
    assert delivers(own.server_context(tmp_path), tls_fingerprint=text)


def test_another_certificate_than_the_pinned_one_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    shown = certificate()
    fault = fault_with(shown.server_context(tmp_path), tls_fingerprint=certificate().fingerprint)
    assert type(fault) is Misconfigured
    assert shown.fingerprint in fault.message


def test_a_pin_is_stricter_than_an_authority(tmp_path: Path) -> None:
    fault = fault_with(
        GOOD.server_context(tmp_path), ca_bundle=AUTHORITY.cert, tls_fingerprint=certificate().fingerprint
    )
    assert "another certificate than the pinned one" in fault.message


@pytest.mark.parametrize("text", ["", "AB:CD", "zz" * 32, "ab" * 20, "٣" * 64])
def test_something_else_than_a_sha_256_is_no_fingerprint(text: str) -> None:
    with pytest.raises(Misconfigured, match="64 hexadecimal digits"):
        parse_fingerprint(text)


def test_tls_older_than_1_2_is_refused(tmp_path: Path) -> None:
    old = GOOD.server_context(tmp_path)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    fault = fault_with(old, ca_bundle=AUTHORITY.cert)
    assert type(fault) is Misconfigured
    assert "TLS older than 1.2" in fault.message


def test_no_context_accepts_less_than_tls_1_2_or_an_unverified_peer() -> None:
    for trusted in (trust(), trust(AUTHORITY.cert), trust(client_cert=GOOD.cert + GOOD.key)):
        assert trusted.context.verify_mode == ssl.CERT_REQUIRED
        assert trusted.context.check_hostname
    pinned = trust(tls_fingerprint=GOOD.fingerprint)
    assert pinned.pin
    assert pinned.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_clients_without_own_rules_share_one_context() -> None:
    assert trust().context is trust(ca_bundle="").context is default_context()


def test_https_to_a_plain_port_says_so() -> None:
    with serving(b"", greeting=http(400)) as server, client() as vendor:
        with pytest.raises(Misconfigured) as caught:
            vendor.post(f"https://127.0.0.1:{server.port}/", content=b"x")
        assert "this port of 127.0.0.1 does not speak TLS" in caught.value.message


def test_a_handshake_that_is_closed_or_hangs_has_sent_nothing() -> None:
    def close_at_once(listener: socket.socket) -> None:
        listener.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        threading.Thread(target=close_at_once, args=(listener,), daemon=True).start()
        with client() as vendor, pytest.raises(Unavailable, match="closed the connection during the TLS"):
            vendor.post(url, content=b"x")
        hasty = VendorClient(vendor="Splunk", rules=Rules(HERE), deadline_s=0.2)
        with hasty, pytest.raises(Unavailable, match="to the TLS handshake"):
            hasty.post(url, content=b"x")


def test_http_to_a_tls_port_says_so(tmp_path: Path) -> None:
    fault = fault_with(GOOD.server_context(tmp_path), "http://127.0.0.1:{port}/")
    assert type(fault) in (Misconfigured, InDoubt)
    assert "https://" in fault.message


def test_the_plain_request_was_sent_to_https_port() -> None:
    said = http(400, b"The plain HTTP request was sent to HTTPS port", "Content-Type: text/plain")
    with serving(said) as server, client() as vendor, pytest.raises(Misconfigured):
        vendor.post(server.url, content=b"x")


def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    wants_one = GOOD.server_context(tmp_path, client_ca=AUTHORITY)
    ours = certificate("hub", by=AUTHORITY)
    rules: dict[str, Any] = {"ca_bundle": AUTHORITY.cert, "client_cert": ours.cert}
    assert delivers(wants_one, **rules, client_key=Secret(ours.key))


def test_a_missing_client_certificate_is_named(tmp_path: Path) -> None:
    wants_one = GOOD.server_context(tmp_path, client_ca=AUTHORITY)
    fault = fault_with(wants_one, ca_bundle=AUTHORITY.cert)
    assert type(fault) in (Misconfigured, InDoubt)
    assert "client certificate" in fault.message


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"ca_bundle": "not PEM"}, "The CA bundle holds no readable certificate"),
        ({"ca_bundle": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}, "The CA bundle"),
        ({"client_cert": GOOD.cert}, "The client certificate and its key"),
        ({"client_cert": "ü"}, "The client certificate and its key"),
        (
            {"client_cert": GOOD.cert, "client_key": Secret(AUTHORITY.key)},
            "The client certificate and its key",
        ),
        ({"tls_fingerprint": "AB"}, "64 hexadecimal digits"),
    ],
)
def test_pem_that_cannot_be_read_is_named(rules: dict[str, Any], words: str) -> None:
    with client(**rules) as vendor, pytest.raises(Misconfigured, match=words):
        vendor.post("https://127.0.0.1:8088/", content=b"x")


def test_an_encrypted_key_is_refused_instead_of_asking_at_the_terminal() -> None:
    locked = GOOD.signer.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"locked"),
    ).decode()
    rules: dict[str, Any] = {"client_cert": GOOD.cert, "client_key": Secret(locked)}
    with client(**rules) as vendor, pytest.raises(Misconfigured, match="unencrypted"):
        vendor.post("https://127.0.0.1:8088/", content=b"x")


def test_through_a_proxy_tls_is_checked_end_to_end(tmp_path: Path) -> None:
    def tunnel(peer: Peer) -> None:
        host, port = peer.request.split()[1].split(b":")
        with socket.create_connection((host, int(port))) as there:
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=(there, peer.sock))
            back.start()
            _copy(peer.sock, there)
            back.join()

    with serving(http(200, b"{}"), tls=GOOD.server_context(tmp_path)) as server, serving(tunnel) as proxy:
        with client(proxy=proxy.url, ca_bundle=AUTHORITY.cert) as vendor:
            assert vendor.post(server.url, content=b"x").status_code == 200
        with client(proxy=proxy.url) as vendor, pytest.raises(Misconfigured, match="does not know"):
            vendor.post(server.url, content=b"x")
        rules: dict[str, Any] = {"proxy": proxy.url, "tls_fingerprint": "ab" * 32}
        with client(**rules) as vendor, pytest.raises(Misconfigured, match="another certificate"):
            vendor.post(server.url, content=b"x")
        assert len(server.requests) == 1


def _copy(source: Any, sink: Any) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
