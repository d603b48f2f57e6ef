"""Slows down whoever guesses: failures by name, and how long that name must wait."""

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_WAIT_S, LONGEST_WAIT_S = 30, 900
#: one failure is forgiven in that time: who mistypes now and then never waits, who goes on guessing waits as long
FORGIVEN_EVERY_S = LONGEST_WAIT_S
_SITE_BITS = 64  # of an IPv6 address: the rest is its owner's to choose (RFC 4291, 2.5.4)


@dataclass(frozen=True, slots=True)
class _Failed:
    """How often, when last, and until when it has to wait."""

    times: int = 0
    last: float = 0.0
    until: float = 0.0


@dataclass
class LoginLimit:
    """After `free` failures a name waits 30 s, then twice as long for each further one, up to 15 minutes.

    In memory: guessing must cost the guesser time and the hub nothing. A restart forgets it.
    """

    free: int
    size: int = 10_000  # names a guesser can make us remember; the oldest is forgotten first
    clock: Callable[[], float] = time.monotonic
    _failed: OrderedDict[str, _Failed] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait_s(self, name: str) -> int:
        """Whole seconds this name still has to wait; 0 when it may try."""
        with self._lock:
            until = self._failed.get(name, _Failed()).until
        left = until - self.clock()
        return max(1, round(left)) if left > 0 else 0

    def fail(self, name: str) -> None:
        with self._lock:
            now, before = self.clock(), self._failed.pop(name, _Failed())
            forgiven = int((now - before.last) // FORGIVEN_EVERY_S)
            times = max(0, before.times - forgiven) + 1
            over = times - self.free
            pause_s = min(FIRST_WAIT_S * 2 ** min(over, 10), LONGEST_WAIT_S) if over >= 0 else 0
            self._failed[name] = _Failed(times, now, now + pause_s)
            while len(self._failed) > self.size:
                self._failed.popitem(last=False)

    def forget(self, name: str | None = None) -> None:
        """This name has proved itself; without a name, everybody starts again."""
        with self._lock:
            if name is None:
                self._failed.clear()
            else:
                self._failed.pop(name, None)


def network_of(address: str) -> str:
    """Return the address, or in IPv6 the network that belongs to one site: there everybody has 2^64 addresses."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, _SITE_BITS), strict=False))
