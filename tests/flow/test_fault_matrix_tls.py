"""The fault matrix, certificates: whoever cannot prove who they are is sent nothing, and the sentence says why."""

import ssl

import pytest

from tests.support.fault_matrix import (
    PAUSED_UNSENT,
    Place,
    assert_outcome,
    assert_recovers,
    database,
    engines,
    place,
)
from tests.support.fault_server import certificate, http, serving

__all__ = ["database", "engines", "place"]

WELL = http(200)
AUTHORITY = certificate("Test authority", is_ca=True)
GOOD = certificate(by=AUTHORITY)
CERTIFICATE = "Webhook: the certificate of 127.0.0.1 "


@pytest.mark.parametrize(
    ("shown", "trusted", "words"),
    [
        (certificate(by=AUTHORITY, days=-1), True, "has expired. Have it renewed there."),
        (
            certificate("other.example", by=AUTHORITY),
            True,
            "is for another name. Enter the address with the name that the certificate was issued for.",
        ),
        (
            GOOD,
            False,
            "is signed by an authority that the hub does not know. Enter the authority's certificate as CA "
            "bundle, or pin the certificate by its SHA-256 fingerprint.",
        ),
        (
            certificate(),
            False,
            "is self-signed. Pin it by its SHA-256 fingerprint, or enter its authority's certificate as CA "
            "bundle.",
        ),
    ],
)
def test_a_certificate_that_does_not_hold_pauses_and_sends_nothing(
    place: Place, shown, trusted: bool, words: str, tmp_path
) -> None:
    with serving(WELL, tls=shown.server_context(tmp_path)) as server:
        place.join("webhook", server.url, **({"ca_bundle": AUTHORITY.cert} if trusted else {}))
        place.fill("webhook")
        assert_outcome(place, "webhook", PAUSED_UNSENT.saying(CERTIFICATE + words))
        assert server.requests == []
        if trusted:  # renewed there
            server.tls = GOOD.server_context(tmp_path)
            assert_recovers(place, server, PAUSED_UNSENT)


def test_tls_older_than_1_2_pauses(place: Place, tmp_path) -> None:
    old = GOOD.server_context(tmp_path)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(WELL, tls=old) as server:
        place.join("webhook", server.url, ca_bundle=AUTHORITY.cert)
        place.fill("webhook")
        said = "Webhook: 127.0.0.1 offers only TLS older than 1.2. Switch TLS 1.2 or 1.3 on there."
        assert_outcome(place, "webhook", PAUSED_UNSENT.saying(said))
        server.tls = GOOD.server_context(tmp_path)
        assert_recovers(place, server, PAUSED_UNSENT)


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_that_is_wanted_is_named(place: Place, newest: ssl.TLSVersion, tmp_path) -> None:
    """With TLS 1.3 the refusal comes after the record was sent, and may be lost in a reset: then in doubt."""
    wants_one = GOOD.server_context(tmp_path, client_ca=AUTHORITY)
    wants_one.maximum_version = newest
    with serving(WELL, tls=wants_one) as server:
        place.join("webhook", server.url, ca_bundle=AUTHORITY.cert)
        place.fill("webhook")
        place.sync("webhook", "scheduled")
        row, connection = place.only("webhook"), place.row("webhook")
        assert "client certificate" in str(row.reason)
        assert "enter one" in str(row.reason)
        told = {"pending": ("misconfigured", 0), "in_doubt": ("backoff", 1)}
        assert (connection.wait_reason, row.attempt_count) == told[row.state]
        if newest is ssl.TLSVersion.TLSv1_2:
            assert row.state == "pending"
        assert server.requests == []
        server.tls = GOOD.server_context(tmp_path)
        assert_recovers(place, server, PAUSED_UNSENT)
