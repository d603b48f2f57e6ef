"""A header's name that a person chose sends a call nowhere else and cuts it nowhere: not when saved, not when sent."""

from typing import Any

import pytest

from core import integrations
from core.http import Egress, Rules, VendorClient, headers
from core.http.errors import Misconfigured
from core.integrations import client
from core.integrations.base import Item
from core.platform.errors import Invalid
from tests.support.fault_server import http, serving

pytestmark = pytest.mark.security

#: whoever sets these sends the call to another host, or decides where it ends (RFC 9110, 7.6.1; RFC 9112, 6)
NEVER = (
    *("Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection"),
    *("Proxy-Authorization", "TE", "Trailer", "Upgrade", "Expect", "Accept-Encoding"),
)
#: these a connector sets itself: a person's choice would stand beside its own
DESCRIBES_THE_BODY = ("Content-Type", "Content-Encoding", "Content-Range")
URL = "https://qradar.example.com:12469"


def spellings(name: str) -> set[str]:
    return {name, name.lower(), name.upper(), name.swapcase(), name.title()}


@pytest.mark.parametrize("name", [*NEVER, *DESCRIBES_THE_BODY])
def test_no_spelling_of_a_header_of_the_hub_is_saved(name: str) -> None:
    for spelling in spellings(name):
        values = {"url": URL, "auth_header": spelling, "auth_value": "x"}
        with pytest.raises(Invalid, match=r"Header name.*the hub sets itself.*Choose another") as caught:
            integrations.check_config(integrations.get("qradar"), values)
        assert set(caught.value.fields) == {"auth_header"}


@pytest.mark.parametrize("name", ["Authorization", "X-Auth-Token", "SEC", "x-api-key"])
def test_a_header_of_the_receivers_own_is_saved(name: str) -> None:
    saved = integrations.check_config(integrations.get("qradar"), {"url": URL, "auth_header": name})
    assert saved["auth_header"] == name


@pytest.mark.parametrize("name", NEVER)
def test_no_connector_sends_a_header_of_the_hub(name: str) -> None:
    """Also one that was saved before it was refused, or comes from a preset."""
    with (
        serving(http(200, b"{}")) as server,
        VendorClient(vendor="QRadar", rules=Rules(Egress.parse("127.0.0.1"))) as vendor,
    ):
        for spelling in spellings(name):
            for given in ({spelling: "evil.example"}, [(spelling, "evil.example")]):
                with pytest.raises(Misconfigured, match=f'header "{spelling}".*Choose another'):
                    vendor.post(server.url, headers=given, content=b"{}")  # type: ignore[arg-type]
        assert server.connects == 0


def test_no_header_is_sent_twice() -> None:
    """Two of them are read by a proxy and a receiver as each likes."""
    given = {"Content-Type": "application/json", "CONTENT-TYPE": "text/html"}
    with (
        serving(http(200, b"{}")) as server,
        VendorClient(vendor="QRadar", rules=Rules(Egress.parse("127.0.0.1"))) as vendor,
    ):
        with pytest.raises(Misconfigured, match=r'header "CONTENT-TYPE".*Choose another'):
            vendor.post(server.url, headers=given, content=b"{}")
        assert server.connects == 0


@pytest.mark.parametrize("name", ["hOST", "TRANSFER-ENCODING", "content-length", "Content-type"])
def test_a_connection_that_was_saved_before_is_stopped_with_a_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_EGRESS_ALLOW", "127.0.0.1")
    with serving(http(200, b"{}")) as server:
        values: dict[str, Any] = {"url": server.url, "auth_header": name, "auth_value": "evil.example"}
        with (
            client.live(integrations.get("qradar"), values) as live,
            pytest.raises(Misconfigured, match=name),
        ):
            list(live.connector.deliver([Item("fiq-scan-1", '{"type": "x", "time": 1}')]))
        assert server.connects == 0


def test_each_field_that_names_a_header_is_held_to_the_list() -> None:
    for manifest in integrations.manifests().values():
        for name, field in manifest.config["properties"].items():
            if "header" in name and not field.get("writeOnly"):
                assert field.get("format") == "header", f"{manifest.slug}.{name}"


def test_the_list_is_of_small_letters() -> None:
    assert {name.lower() for name in NEVER} <= headers.OWN
    assert all(name == name.lower() for name in headers.OWN)
