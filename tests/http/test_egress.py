"""What the hub may reach: every spelling of a forbidden address is refused, and nothing is connected."""

import ipaddress
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from core.http import Egress, Rules, VendorClient
from core.http.errors import DeliveryError, Misconfigured, Unavailable
from core.http.networks import is_metadata, why_denied
from core.platform.errors import Unusable
from tests.support.fault_server import http, serving

LOOPBACK = [
    *("127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001", "0x7f.1", "0x7f.0.0.1"),
    *("017700000001", "127.0.0.1.", "127。0。0。1", "127.0.0.1", "localhost", "LOCALHOST", "localhost."),
    *("0", "0.0.0.0", "0x0", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
    *("[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "[2002:7f00:1::1]"),
]
PRIVATE = [
    *("10.0.0.1", "10.255.255.255", "167772161", "0xa000001", "192.168.1.1", "192.168.257", "172.16.0.1"),
    *("172.31.255.255", "100.64.0.1", "100.127.255.254", "169.254.1.1", "192.0.0.8", "192.0.2.1"),
    *("192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250"),
    *("240.0.0.1", "255.255.255.255", "[64:ff9b:1::a00:1]", "[fec0::1]", "[fe80::1]", "[fe80::1%25lo]"),
    *("[fe80::1%lo]", "[fc00::1]", "[fd12:3456::1]", "[ff02::1]", "[2001::1]", "[2001:db8::1]", "[3fff::1]"),
    *("[5f00::1]", "[100::1]", "[2002:a00:1::]", "[::ffff:10.0.0.1]", "[4000::1]"),
]
METADATA = [
    *("169.254.169.254", "2852039166", "0xa9fea9fe", "169.254.43518", "168.63.129.16", "192.0.0.192"),
    *("100.100.100.200", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]"),
    *("[2002:a9fe:a9fe::]", "[::169.254.169.254]", "metadata.google.internal", "Metadata.Google.Internal."),
]
TWISTED = [
    *("file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/", "http:127.0.0.1", "//127.0.0.1/", ""),
    *("https://", "https:///x", "javascript:alert(1)", "https://evil@127.0.0.1/", "https://a:b@example.com/"),
    *("https://@example.com/", "https://a\\@127.0.0.1/", "https://127.0.0.1\\@example.com/", "https://[::1"),
    *(
        "https://exa\tmple.com/",
        "https://example.com/\r\nX: y",
        "https://example.com%00.evil/",
        " https://a/",
    ),
    *("https://a b/", "https://example.com:0/", "https://example.com:99999/", "https://①②⑦.0.0.1/"),
    *("https://0177.0.0.1/", "https://-evil/", "https://a%2f@b/", "https://example.com:http/"),
]

_connected: list[Any] = []
_watching = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event == "socket.connect":
        _connected.append(arguments[1])


sys.addaudithook(_watch)  # sees connects of every library, below all of our own code


@pytest.fixture
def connected() -> Iterator[list[Any]]:
    """The addresses any code of this process tried to connect to during the test."""
    global _watching
    _connected.clear()
    _watching = True
    yield _connected
    _watching = False


class Resolver:
    """Stands in for DNS, which is not ours: names to answers, one list per look-up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **names: list[list[str]]) -> None:
        self.names = {name.replace("_", "."): answers for name, answers in names.items()}
        self.asked: list[str] = []
        self.real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self.answer)

    def answer(self, host: str, port: Any, *args: Any, **options: Any) -> Any:
        if options.get("flags") or host not in self.names:
            return self.real(host, port, *args, **options)
        self.asked.append(host)
        answers = self.names[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [row for ip in found for row in self.real(ip, port, *args, **options)]


def client(allow: str = "", pinned: tuple[str, ...] = (), **rules: Any) -> VendorClient:
    return VendorClient(
        vendor="Splunk",
        rules=Rules(Egress.parse(allow), **rules),
        pinned_hosts=pinned,
        deadline_s=3,
    )


def refused(url: str, allow: str = "", pinned: tuple[str, ...] = ()) -> str:
    with client(allow, pinned) as vendor, pytest.raises(Misconfigured) as caught:
        vendor.post(url, json={"a": 1})
    return caught.value.message


@pytest.mark.parametrize("host", [*LOOPBACK, *PRIVATE, *METADATA])
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_no_spelling_of_a_forbidden_address_is_connected_to(
    scheme: str, host: str, connected: list[Any]
) -> None:
    with client() as vendor, pytest.raises(DeliveryError) as caught:
        vendor.post(f"{scheme}://{host}/x", content=b"x")
    assert type(caught.value) is Misconfigured
    assert connected == []


@pytest.mark.parametrize("url", TWISTED)
def test_a_twisted_url_is_refused_without_a_connect_or_a_look_up(
    url: str, connected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Resolver(monkeypatch)
    assert refused(url)
    assert connected == []
    assert resolver.asked == []


def test_the_list_holds_at_least_sixty_spellings() -> None:
    assert len({*LOOPBACK, *PRIVATE, *METADATA, *TWISTED}) >= 60


@pytest.mark.parametrize("host", METADATA)
def test_no_allow_list_lifts_a_metadata_address(host: str, connected: list[Any]) -> None:
    everything = "0.0.0.0/0,::/0,metadata.google.internal,0.0.0.0/0:443,[::/0]:443"
    assert "metadata" in refused(f"https://{host}/", everything)
    assert connected == []


def test_a_name_that_leads_to_a_metadata_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, connected: list[Any]
) -> None:
    Resolver(monkeypatch, innocent_example=[["169.254.169.254"]])
    assert "metadata" in refused("https://innocent.example/", "innocent.example")
    assert connected == []


def test_the_refusal_tells_an_admin_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    Resolver(monkeypatch, splunk_corp_lan=[["10.0.0.5"]])
    assert refused("https://splunk.corp.lan:8088/services/collector") == (
        "splunk.corp.lan is a private address (10.0.0.5). "
        "An admin can allow it with HUB_EGRESS_ALLOW=10.0.0.5:8088, then restart the hub."
    )
    assert refused("https://[fd12::1]:8088/") == (
        "fd12::1 is a private address. "
        "An admin can allow it with HUB_EGRESS_ALLOW=[fd12::1]:8088, then restart the hub."
    )
    assert "by adding 10.0.0.5:8088 to HUB_EGRESS_ALLOW" in refused("https://10.0.0.5:8088/", "127.0.0.1")


def test_what_the_refusal_proposes_is_what_the_allow_list_understands() -> None:
    Egress.parse("[fd12::1]:8088").check_url("https://[fd12::1]:8088/")
    Egress.parse("10.0.0.5:8088").check_url("http://10.0.0.5:8088/")


def test_a_name_with_one_public_and_one_private_address_is_refused_as_a_whole(
    monkeypatch: pytest.MonkeyPatch, connected: list[Any]
) -> None:
    Resolver(monkeypatch, mixed_example=[["93.184.216.34", "10.0.0.1"]])
    assert "10.0.0.1" in refused("https://mixed.example/")
    assert connected == []


def test_a_rebinding_name_is_looked_up_once_and_the_checked_address_is_used(
    monkeypatch: pytest.MonkeyPatch, connected: list[Any]
) -> None:
    with serving(http(200, b"{}")) as server:
        resolver = Resolver(monkeypatch, rebind_example=[["127.0.0.1"], ["10.0.0.1"]])
        with client(f"127.0.0.1:{server.port}") as vendor:
            vendor.post(f"http://rebind.example:{server.port}/", content=b"x")
        assert resolver.asked == ["rebind.example"]
        assert connected == [("127.0.0.1", server.port)]
        assert f"Host: rebind.example:{server.port}".encode() in server.requests[0]


def test_plain_http_is_for_allow_listed_targets_only(monkeypatch: pytest.MonkeyPatch) -> None:
    Resolver(monkeypatch, public_example=[["93.184.216.34"]])
    assert "unencrypted" in refused("http://public.example/")
    # some network is listed, so the answer comes only after the look-up
    assert "unencrypted" in refused("http://public.example/", "10.0.0.0/8")
    Egress.parse("public.example:80").check_url("http://public.example/")


@pytest.mark.parametrize(
    ("url", "pin", "is_fine"),
    [
        ("https://hooks.slack.com/x", "hooks.slack.com", True),
        ("https://HOOKS.slack.com./x", "hooks.slack.com", True),
        ("https://hooks.slack.com.evil.example/x", "hooks.slack.com", False),
        ("https://evilhooks.slack.com/x", "hooks.slack.com", False),
        ("https://acme.atlassian.net/x", "*.atlassian.net", True),
        ("https://atlassian.net/x", "*.atlassian.net", False),
        ("https://evilatlassian.net/x", "*.atlassian.net", False),
    ],
)
def test_a_vendors_hosts_are_pinned(url: str, pin: str, is_fine: bool) -> None:
    if is_fine:
        Egress().check_url(url, [pin])
    else:
        with pytest.raises(Misconfigured, match="is not a host of this vendor"):
            Egress().check_url(url, [pin])


def test_pinning_is_lifted_for_allow_listed_targets_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(http(200, b"{}")) as server:
        with client("127.0.0.0/8", ("hooks.slack.com",)) as vendor:
            assert vendor.post(f"{server.url}/x", content=b"x").status_code == 200
        Resolver(monkeypatch, public_example=[["93.184.216.34"]])
        assert "not a host" in refused("https://public.example/", "127.0.0.0/8", ("hooks.slack.com",))


@pytest.mark.parametrize("port", [22, 25, 5432, 6379, 3306, 11211, 27017])
def test_ports_of_other_services_need_an_entry_that_names_them(port: int) -> None:
    assert f"Port {port}" in refused(f"https://example.com:{port}/")
    assert f"Port {port}" in refused(f"https://example.com:{port}/", "example.com")
    Egress.parse(f"example.com:{port}").check_url(f"https://example.com:{port}/")


@pytest.mark.parametrize(
    ("allow", "url", "is_listed"),
    [
        ("10.0.0.0/8", "https://10.1.2.3:9200/", True),
        ("10.0.0.5", "https://10.0.0.6/", False),
        ("10.0.0.0/8:9200", "https://10.1.2.3:9200/", True),
        ("10.0.0.0/8:9200", "https://10.1.2.3:9201/", False),
        ("fd00::/8", "https://[fd00::1]/", True),
        ("[fd00::/8]:8088", "https://[fd00::1]:8088/", True),
        ("[fd00::/8]:8088", "https://[fd00::1]:8089/", False),
        ("[fd00::/8]", "https://[fd00::1]:1/", True),
        (" 192.168.0.0/16 , ,10.0.0.0/8 ", "https://10.0.0.1/", True),
        ("127.0.0.1", "http://2130706433:8000/", True),
    ],
)
def test_an_entry_covers_its_network_and_port(allow: str, url: str, is_listed: bool) -> None:
    egress = Egress.parse(allow)
    if is_listed:
        egress.check_url(url)
    else:
        with pytest.raises(Misconfigured):
            egress.check_url(url)


@pytest.mark.parametrize(
    "allow",
    ["10.0.0.0/33", "10.0.0", "*", "*.corp.lan", "http://x", "a b", "x:0", "x:99999", "[::1", "::/129"],
)
def test_an_entry_that_cannot_be_read_is_named(allow: str) -> None:
    with pytest.raises(Unusable) as caught:
        Egress.parse(f"10.0.0.1,{allow}")
    assert f'HUB_EGRESS_ALLOW holds "{allow}"' in caught.value.message


def test_a_host_entry_lifts_only_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    Resolver(monkeypatch, a_lan=[["10.0.0.5"]], b_lan=[["10.0.0.5"]])
    egress = Egress.parse("a.lan:8088")
    assert egress.resolve("A.lan.", 8088) == [ipaddress.ip_address("10.0.0.5")]
    for host, port in (("a.lan", 8089), ("b.lan", 8088), ("10.0.0.5", 8088)):
        with pytest.raises(Misconfigured):
            egress.resolve(host, port)


def test_a_name_that_is_not_found_is_unavailable() -> None:
    with client() as vendor, pytest.raises(Unavailable) as caught:
        vendor.post("https://no-such-host.invalid/x", content=b"x")
    assert caught.value.message.startswith(
        "Splunk: the name no-such-host.invalid was not found. Nothing was sent"
    )


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *a, **k: real(*a, **k) if k.get("flags") else over.wait(10) and []
    )
    with (
        VendorClient(vendor="Splunk", rules=Rules(), deadline_s=0.2) as vendor,
        pytest.raises(Unavailable, match="was not resolved within"),
    ):
        vendor.get("https://slow.example/")
    over.set()


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_not_denied(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert why_denied(address) == ""
    assert not is_metadata(address)


def test_the_hubs_own_address_is_refused() -> None:
    with (
        client("127.0.0.1", own_url="http://127.0.0.1:8501") as vendor,
        pytest.raises(Misconfigured, match="hub's own address"),
    ):
        vendor.post("http://127.0.0.1:8501/hooks", content=b"x")
