"""Takes each request to its vendor, lets faults strike, and keeps what was accepted."""

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sandbox.contract import Accepted, Answer, Kept, Request, Vendor, html_answer
from sandbox.faults import INSTEAD, ON_DELIVERY, Fault, Faults
from sandbox.journal import Arrivals

SIGN_IN_PAGE = "<!doctype html><title>Sign in</title><h1>Sign in to continue</h1><p>Proxy of the sandbox.</p>"


@dataclass(frozen=True, slots=True)
class Count:
    """A vendor's figures since the start; `accepted` and `keys` include what the journal brought back."""

    requests: int
    refused: int
    faults: int
    accepted: int
    keys: int
    duplicates: int


class SandboxState:
    """The state behind the port. Every method may be called from any thread."""

    def __init__(self, vendors: Sequence[Vendor], arrivals: Arrivals, index_lag_s: float = 0.0) -> None:
        self.vendors: Mapping[str, Vendor] = {vendor.slug: vendor for vendor in vendors}
        self.index_lag_s = index_lag_s
        self._arrivals = arrivals
        self._faults = Faults()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def answer(self, vendor: Vendor, request: Request, base: str) -> Answer:
        """The vendor's answer to `request`, whose path begins after the vendor's prefix."""
        with self._lock:
            arrived = self._arrivals.of(vendor.slug)
            known = replace(request, base=base, at=time.time(), arrived=arrived, index_lag_s=self.index_lag_s)
            self._counts[vendor.slug, "requests"] += 1
            answer = self._instead(vendor) or self._taken(vendor, vendor.answer(known), known.at)
            self._counts[vendor.slug, "refused"] += answer.status >= 400
            return answer

    def accepted(self, vendor: str | None = None) -> list[Accepted]:
        with self._lock:
            return list(self._arrivals.all() if vendor is None else self._arrivals.of(vendor))

    def numbered(self, number: int) -> Accepted | None:
        with self._lock:
            return self._arrivals.numbered(number)

    def shown(self, vendor: Vendor, path: str) -> Accepted | None:
        with self._lock:
            return vendor.shown(path, self._arrivals.of(vendor.slug))

    def set_fault(self, fault: Fault) -> None:
        if fault.vendor not in self.vendors:
            raise ValueError(
                f'There is no vendor "{fault.vendor}" here; there are {", ".join(self.vendors)}.'
            )
        with self._lock:
            self._faults.set(fault)

    def clear_faults(self, vendor: str | None = None) -> None:
        with self._lock:
            self._faults.clear(vendor)

    def faults(self, vendor: str | None = None) -> list[Fault]:
        with self._lock:
            return [replace(fault) for fault in self._faults.active(vendor)]

    def count(self, vendor: str) -> Count:
        with self._lock:
            accepted, keys = len(self._arrivals.of(vendor)), self._arrivals.keys(vendor)
            requests, refused, faults = (
                self._counts[vendor, name] for name in ("requests", "refused", "faults")
            )
            return Count(requests, refused, faults, accepted, keys, accepted - keys)

    def close(self) -> None:
        with self._lock:
            self._arrivals.close()

    def _draw(self, vendor: Vendor, names: frozenset[str]) -> Fault | None:
        fault = self._faults.draw(vendor.slug, names)
        self._counts[vendor.slug, "faults"] += fault is not None
        return fault

    def _instead(self, vendor: Vendor) -> Answer | None:
        fault = self._draw(vendor, INSTEAD)
        if fault is None:
            return None
        return (
            html_answer(200, SIGN_IN_PAGE)
            if fault.name == "html"
            else vendor.refuse(int(fault.name), fault.seconds)
        )

    def _taken(self, vendor: Vendor, answer: Answer, at: float) -> Answer:
        late = self._draw(vendor, frozenset({"slow"}))
        lost = self._draw(vendor, ON_DELIVERY) if answer.keep else None
        if lost is None or lost.name != "lost_before":
            self._keep(vendor, answer.keep, at)
        if late is not None:
            answer = replace(answer, wait_s=late.seconds)
        if lost is not None:
            answer = replace(answer, cut="reset" if lost.name == "reset" else "close")
        return answer

    def _keep(self, vendor: Vendor, keep: Sequence[Kept], at: float) -> None:
        for kept in keep:
            self._arrivals.keep(vendor.slug, kept, at)
