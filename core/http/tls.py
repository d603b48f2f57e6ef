"""Who the other side must prove to be: trust stores, pinned certificates, client certificates.

There is no way to switch verification off: a pin replaces the chain and is checked before a byte is sent.
"""

import hashlib
import hmac
import os
import re
import ssl
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache

import certifi

from core.http.errors import Misconfigured
from core.platform.secret import Secret


@dataclass(frozen=True)
class Trust:
    """A context and, for a pinned certificate, the SHA-256 of the only one accepted."""

    context: ssl.SSLContext
    pin: bytes | None = None

    def check_pin(self, sock: ssl.SSLSocket, vendor: str) -> None:
        """Raises Misconfigured unless the certificate shown is the pinned one."""
        if self.pin is None:
            return
        shown = hashlib.sha256(sock.getpeercert(binary_form=True) or b"").digest()
        if not hmac.compare_digest(shown, self.pin):
            raise Misconfigured(
                f"{vendor} shows another certificate than the pinned one; its SHA-256 is "
                f"{shown.hex(':').upper()}. If it was renewed on purpose, enter this fingerprint.",
                stage="tls",
            )


@cache
def default_context() -> ssl.SSLContext:
    """Certifi's and the system's authorities, shared by all clients: loading them takes some 20 ms."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@lru_cache(maxsize=64)
def trust(
    ca_bundle: str | None = None,
    tls_fingerprint: str | None = None,
    client_cert: str | None = None,
    client_key: Secret | None = None,
) -> Trust:
    """Build what `Rules` ask for. Raises Misconfigured naming the text that cannot be read."""
    if not (ca_bundle or tls_fingerprint or client_cert):
        return Trust(default_context())
    pin = parse_fingerprint(tls_fingerprint) if tls_fingerprint else None
    context = _pinning_context() if pin else ssl.create_default_context(cafile=certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_bundle and not pin:
        context.load_default_certs()
        _load_authorities(context, ca_bundle)
    if client_cert:
        _load_client(context, client_cert, client_key)
    return Trust(context, pin)


def parse_fingerprint(text: str) -> bytes:
    """`AB:CD:…`, `ab cd …`, `sha256:abcd…`, `SHA256 Fingerprint=AB:CD…` → 32 bytes."""
    bare = re.sub(r"^\s*sha-?256[^=:]*[=:]", "", text, flags=re.IGNORECASE)
    digits = re.sub(r"[\s:.-]", "", bare)
    if not re.fullmatch(r"[0-9a-fA-F]{64}", digits, re.ASCII):
        raise Misconfigured(
            "The certificate fingerprint is not a SHA-256 one, which has 64 hexadecimal digits. "
            "Read it with: openssl x509 -noout -fingerprint -sha256 -in cert.pem",
            stage="tls",
        )
    return bytes.fromhex(digits)


def refusal(error: ssl.SSLError, vendor: str, host: str) -> str:
    """What OpenSSL said, as a sentence with the next step."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{vendor}: the certificate of {host} {_VERIFY_WORDS.get(error.verify_code, _OTHER)}"
    reason = error.reason or ""
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
        return (
            f"{vendor}: this port of {host} does not speak TLS. Enter the port that serves https://, "
            "or http:// if it is meant."
        )
    if "PROTOCOL" in reason:
        return f"{vendor}: {host} offers only TLS older than 1.2. Switch TLS 1.2 or 1.3 on there."
    if "CERTIFICATE_REQUIRED" in reason or "ALERT" in reason:
        return (
            f"{vendor}: {host} refused the TLS connection ({reason.replace('_', ' ').lower()}). "
            "It may want a client certificate: enter one, or check the one entered."
        )
    return (
        f"{vendor}: no TLS connection with {host} ({reason.replace('_', ' ').lower()}). Check its TLS set-up."
    )


_UNKNOWN = (
    "is signed by an authority that the hub does not know. Enter the authority's certificate as CA bundle, "
    "or pin the certificate by its SHA-256 fingerprint."
)
_SELF_SIGNED = (
    "is self-signed. Pin it by its SHA-256 fingerprint, or enter its authority's certificate as CA bundle."
)
_WRONG_HOST = "is for another name. Enter the address with the name that the certificate was issued for."
_OTHER = "cannot be verified. Look at it with: openssl s_client -connect HOST:PORT"
#: OpenSSL's X509_V_ERR_* (x509_vfy.h)
_VERIFY_WORDS = {
    9: "is not valid yet. Check the clock of this computer and the certificate.",
    10: "has expired. Have it renewed there.",
    18: _SELF_SIGNED,
    19: _SELF_SIGNED,
    20: _UNKNOWN,
    21: _UNKNOWN,
    2: _UNKNOWN,
    62: _WRONG_HOST,
    64: _WRONG_HOST,
}


def _pinning_context() -> ssl.SSLContext:
    """Accepts any chain in the handshake; `Trust.check_pin` follows it before anything is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _load_authorities(context: ssl.SSLContext, pem: str) -> None:
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        raise Misconfigured(
            "The CA bundle holds no readable certificate. Paste it with its BEGIN CERTIFICATE and END "
            "CERTIFICATE lines.",
            stage="tls",
        ) from None


def _load_client(context: ssl.SSLContext, cert: str, key: Secret | None) -> None:
    pem = cert + "\n" + (key.reveal() if key else "")
    try:
        with _as_file(pem.encode()) as path:
            # An empty password makes an encrypted key an error; without one OpenSSL asks at the terminal.
            context.load_cert_chain(path, password="")
    except (ssl.SSLError, ValueError):
        raise Misconfigured(
            "The client certificate and its key cannot be used together. Paste both as PEM text, the key "
            "unencrypted, and check that they belong together.",
            stage="tls",
        ) from None


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """OpenSSL reads keys from files only: in memory on Linux, elsewhere one that lives for this moment."""
    if sys.platform == "linux":
        with os.fdopen(os.memfd_create("client-certificate"), "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "client.pem")
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(content)
            yield path
