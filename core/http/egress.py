"""Which addresses the hub may talk to: decided on the resolved address, after one look-up.

`Egress` holds the admin's HUB_EGRESS_ALLOW. A name is looked up once, every answer is checked, and the
caller connects to the addresses that were checked. A second look-up would let a name change its mind in
between (DNS rebinding).
"""

import ipaddress
import queue
import re
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpx

from core.http.errors import Misconfigured, Unavailable
from core.http.networks import Address, Network, is_metadata, why_denied
from core.platform.errors import Unusable

LOOK_UP_S = 5.0
DEFAULT_PORTS = {"https": 443, "http": 80}
#: Never an HTTP API, and some act on whatever is sent to them: SSH, mail, DNS, NetBIOS, LDAP, SMB,
#: syslog, rsync, databases, ZooKeeper, Docker, etcd, VNC, X11, IRC, kubelet, memcached …
SERVICE_PORTS = frozenset(
    {7, 9, 19, 21, 22, 23, 25, 53, 79, 110, 111, 119, 135, 137, 138, 139, 143, 161, 389, 445, 465, 512, 513}
    | {514, 543, 544, 587, 636, 873, 993, 995, 1433, 1521, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389}
    | {4369, 5432, 5672, 5900, 6000, 6379, 6380, 6667, 9042, 10250, 11211, 27017, 27018, 27019}
)
#: SMTP: relay, implicit TLS, submission (RFC 8314)
MAIL_PORTS = frozenset({25, 465, 587})
METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", re.ASCII)


@dataclass(frozen=True, slots=True)
class CallTarget:
    """Where a call goes. `host` is lower case, ASCII, without brackets or a final dot."""

    scheme: str
    host: str
    port: int
    pinned_hosts: tuple[str, ...] = ()

    @property
    def is_pinned(self) -> bool:
        return not self.pinned_hosts or any(_fits(self.host, pin) for pin in self.pinned_hosts)

    @property
    def must_be_listed(self) -> bool:
        """Whether only the admin's allow-list makes this call acceptable, however public the address is."""
        return self.scheme == "http" or not self.is_pinned or self.port in SERVICE_PORTS


@dataclass(frozen=True, slots=True)
class AllowedAddress:
    """One part of HUB_EGRESS_ALLOW: a network or a host name, with a port or for every port."""

    network: Network | None
    host: str
    port: int | None

    def covers_port(self, port: int) -> bool:
        # A service port is lifted only by an entry that names it: "10.0.0.0/8" does not open every database.
        return self.port == port or (self.port is None and port not in SERVICE_PORTS)

    def covers(self, target: CallTarget, address: Address) -> bool:
        if not self.covers_port(target.port):
            return False
        return self.host == target.host if self.network is None else address in self.network


@dataclass(frozen=True, slots=True)
class Egress:
    """The outgoing rules of this hub. Without entries: public addresses over https only."""

    entries: tuple[AllowedAddress, ...] = ()

    @classmethod
    def parse(cls, allow: str) -> "Egress":
        """Read HUB_EGRESS_ALLOW. Raises Unusable with the entry that cannot be read."""
        parts = [part.strip() for part in allow.split(",")]
        return cls(tuple(_entry(part) for part in parts if part))

    def check_url(
        self, url: str | httpx.URL, pinned_hosts: Sequence[str] = (), *, by_proxy: bool = False
    ) -> CallTarget:
        """Judge all that can be judged without a look-up; names are judged when they are connected to.

        Raises Misconfigured with the sentence for the owner. With `by_proxy` the proxy resolves the name, so
        a name counts as allow-listed only if HUB_EGRESS_ALLOW holds the name itself.
        """
        target = parse_target(url, tuple(pinned_hosts))
        _refuse_metadata(target, ())
        literal = numeric(target.host)
        if literal:
            self._check(target, literal)
        elif target.must_be_listed and not self._may_list(target, by_proxy):
            raise Misconfigured(self._words(target))
        return target

    def addresses(self, target: CallTarget, *, timeout_s: float = LOOK_UP_S) -> list[Address]:
        """One look-up; every address found is acceptable, or Misconfigured. Unavailable if none is found."""
        _refuse_metadata(target, ())
        found = look_up(target.host, target.port, timeout_s)
        self._check(target, found)
        return found

    def resolve(self, host: str, port: int) -> list[Address]:
        """`addresses` for something that is no URL (a proxy, a mail server). Service ports are not judged."""
        target = CallTarget("", host.lower().rstrip("."), port)
        _refuse_metadata(target, ())
        found = look_up(target.host, port, LOOK_UP_S)
        for address in found:
            self._check_address(target, address)
        return found

    def mail_addresses(self, host: str, port: int, *, plain: bool) -> list[Address]:
        """`resolve` for a mail server on one of its usual ports; others, and `plain` text, must be listed."""
        found = self.resolve(host, port)
        target = CallTarget("", host.lower().rstrip("."), port)
        if (plain or port not in MAIL_PORTS) and not all(self._lists(target, address) for address in found):
            why = (
                f"Without encryption, the password and the mails for {target.host} could be read on the way. "
                "Use starttls or tls"
                if plain
                else f"Port {port} is not one of mail (25, 465, 587). Correct the port"
            )
            raise Misconfigured(f"{why}, or an admin can allow it {self._how(target.host, port)}")
        return found

    def _check(self, target: CallTarget, found: Sequence[Address]) -> None:
        for address in found:
            self._check_address(target, address)
        if target.must_be_listed and not all(self._lists(target, address) for address in found):
            raise Misconfigured(self._words(target))

    def _check_address(self, target: CallTarget, address: Address) -> None:
        _refuse_metadata(target, (address,))
        denied = why_denied(address)
        if denied and not self._lists(target, address):
            literal = str(address) == target.host
            named = f"{target.host} is {denied}" + ("." if literal else f" ({address}).")
            raise Misconfigured(f"{named} An admin can allow it {self._how(str(address), target.port)}")

    def _lists(self, target: CallTarget, address: Address) -> bool:
        return any(entry.covers(target, address) for entry in self.entries)

    def _may_list(self, target: CallTarget, by_proxy: bool) -> bool:
        return any(
            entry.covers_port(target.port)
            and (entry.host == target.host if entry.network is None else not by_proxy)
            for entry in self.entries
        )

    def _words(self, target: CallTarget) -> str:
        how = self._how(target.host, target.port)
        if target.port in SERVICE_PORTS:
            return (
                f"Port {target.port} on {target.host} belongs to a service that does not speak HTTP. "
                f"Correct the port, or an admin can allow it {how}"
            )
        if not target.is_pinned:
            return (
                f"{target.host} is not a host of this vendor ({', '.join(target.pinned_hosts)}). "
                f"Copy the address from the vendor again, or an admin can allow it {how}"
            )
        return (
            f"Plain http:// would send credentials to {target.host} unencrypted. "
            f"Use https://, or an admin can allow it {how}"
        )

    def _how(self, host: str, port: int) -> str:
        entry = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        setting = (
            f"by adding {entry} to HUB_EGRESS_ALLOW" if self.entries else f"with HUB_EGRESS_ALLOW={entry}"
        )
        return f"{setting}, then restart the hub."


@lru_cache(maxsize=1024, typed=True)  # a text and the same as a parsed address are asked different things
def parse_target(url: str | httpx.URL, pinned_hosts: tuple[str, ...] = ()) -> CallTarget:
    """Parse once, by the parser that also sends. Sentences name the host at most: a URL may be a secret."""
    if isinstance(url, str) and (url != url.strip() or re.search(r"[\x00-\x1f\x7f\\]", url)):
        raise Misconfigured("The address holds a space, a backslash or a control character. Enter it again.")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise Misconfigured("The address is not a web address. Enter one like https://host/path.") from None
    if parsed.scheme not in DEFAULT_PORTS:
        raise Misconfigured("The address must start with https://. Enter it again with https:// in front.")
    # httpx drops an empty user name ("https://@host"), so the text itself is asked too.
    if parsed.userinfo or (isinstance(url, str) and re.match(r"[^/?#]*//[^/?#]*@", url)):
        raise Misconfigured("The address holds a user name before an @. Remove it and use the fields for it.")
    host = parsed.raw_host.decode().lower().rstrip(".")
    if not host or not (_HOST_NAME.fullmatch(host) or _is_address(host)):
        raise Misconfigured("The address holds no valid host name. Enter one like https://host/path.")
    port = parsed.port if parsed.port is not None else DEFAULT_PORTS[parsed.scheme]
    if not 0 < port < 65536:
        raise Misconfigured(f"{port} is not a port. Choose one from 1 to 65535, or leave it out.")
    return CallTarget(parsed.scheme, host, port, tuple(pin.lower() for pin in pinned_hosts))


@lru_cache(maxsize=1024)
def numeric(host: str) -> tuple[Address, ...]:
    """The address a host spells by itself (127.1, 0x7f000001, 2130706433, ::1 …), without a look-up."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return ()
    return tuple(_distinct(found))


def look_up(host: str, port: int, timeout_s: float) -> list[Address]:
    """Ask the system's resolver once. It has no time limit of its own, so a thread asks; we stop waiting."""
    answer: queue.SimpleQueue[list[Address] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(_distinct(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            answer.put(error)

    threading.Thread(target=ask, daemon=True, name="look-up").start()
    try:
        found = answer.get(timeout=max(timeout_s, 0.001))
    except queue.Empty:
        raise Unavailable(f"the name {host} was not resolved within {timeout_s:.0f} s") from None
    if isinstance(found, Exception) or not found:
        raise Unavailable(f"the name {host} was not found")
    return found


def _distinct(found: list[Any]) -> list[Address]:
    return list(dict.fromkeys(ipaddress.ip_address(row[4][0].split("%")[0]) for row in found))


def _refuse_metadata(target: CallTarget, found: Sequence[Address]) -> None:
    if target.host in METADATA_NAMES or any(is_metadata(address) for address in found):
        raise Misconfigured(
            f"{target.host} is a cloud's metadata address, which hands out credentials. "
            "The hub never calls it; enter the vendor's own address."
        )


def _fits(host: str, pin: str) -> bool:
    return host.endswith(pin[1:]) and len(host) > len(pin) - 1 if pin.startswith("*.") else host == pin


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _entry(text: str) -> AllowedAddress:
    name, port = _split_port(text.lower())
    try:
        return AllowedAddress(ipaddress.ip_network(name, strict=False), "", port)
    except ValueError:
        host = name.rstrip(".")
    # Digits, dots and a slash alone are a mistyped network, never a host somebody owns.
    if "/" in name or not _HOST_NAME.fullmatch(host) or re.fullmatch(r"[0-9.]+", host):
        raise _unreadable(text)
    return AllowedAddress(None, host, port)


def _split_port(text: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"\[([^\]]+)\](?::(\d{1,5}))?|([^:]+)(?::(\d{1,5}))?", text, re.ASCII)
    if not found:
        return text, None  # IPv6 without brackets and port, or nonsense: the caller finds out
    name, port = found[1] or found[3], found[2] or found[4]
    if port is not None and not 0 < int(port) < 65536:
        raise _unreadable(text)
    return name, int(port) if port else None


def _unreadable(text: str) -> Unusable:
    return Unusable(
        f'HUB_EGRESS_ALLOW holds "{text}", which is neither a network nor a host name. '
        "Write entries like 10.0.0.0/8, 10.0.0.5:8088, [fd00::/8]:443 or splunk.corp.lan:8088."
    )
