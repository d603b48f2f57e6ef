"""A vendor that answers as it is told, a clock that stands still, and what must hold of every delivery."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from core.http.errors import DeliveryError, Gone, InDoubt, Misconfigured, Rejected, Throttled, Unavailable
from core.integrations.base import Connector, Item, Receipt, Step, Ticket, Tracker
from tests.crash.transitions import Transition

#: what becomes of one item: (it arrives, the fault that the hub sees)
ANSWERS: dict[str, tuple[bool, DeliveryError | None]] = {
    "accepted": (True, None),
    "answer lost": (True, InDoubt("no answer")),
    "request lost": (False, InDoubt("no answer")),
    "refused": (False, Rejected("bad record")),
    "away": (False, Unavailable("away")),
    "slower": (False, Throttled("too many", retry_after_s=20)),
    "forbidden": (False, Misconfigured("wrong token")),
    "gone": (False, Gone("gone")),
}
#: what a delivery may become by the fault of its call, and whether an attempt is spent
BECOMES: dict[type[DeliveryError] | None, tuple[set[str], int]] = {
    None: ({"delivered"}, 1),
    Rejected: ({"dead"}, 1),
    Unavailable: ({"retrying", "in_doubt", "dead"}, 1),
    InDoubt: ({"in_doubt", "dead"}, 1),
    Throttled: ({"pending", "in_doubt"}, 0),
    Misconfigured: ({"pending", "in_doubt"}, 0),
    Gone: ({"pending", "in_doubt"}, 0),
}
#: how long the connection is left alone at least after such a call, in seconds
QUIET_S: dict[type[DeliveryError], float] = {
    Unavailable: 4,
    InDoubt: 4,
    Throttled: 20,
    Misconfigured: 900,
    Gone: 900,
}
#: Jira's search shows a ticket at the latest before its third look-up
SEARCH_LAG = timedelta(minutes=6)


@dataclass
class Hands:
    """The clock, and what the vendor holds and does next."""

    now: datetime = datetime(2026, 11, 22, 12, tzinfo=UTC)
    script: list[str] = field(default_factory=list)
    #: called once, before the next byte leaves or after the first one arrived
    pause_before: Callable[[], None] | None = None
    pause_after: Callable[[], None] | None = None
    held: list[tuple[str, datetime]] = field(default_factory=list)
    #: key → the fault of the last call, since this was emptied
    told: dict[str, DeliveryError | None] = field(default_factory=dict)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def deliver(self, http: Any, items: Sequence[Item]) -> Iterator[Receipt]:
        for item in items:
            pause, self.pause_before = self.pause_before, None
            if pause:
                pause()
            http.before_call()
            arrives, fault = ANSWERS[self.script.pop(0) if self.script else "accepted"]
            self.told[item.key] = fault
            if arrives:
                self.held.append((item.key, self.now))
            pause, self.pause_after = self.pause_after, None
            if pause:
                pause()
            ticket = Ticket(f"SEC-{len(self.held)}")
            yield replace(Receipt.of(item.key, ticket), fault=fault)
            if fault is not None and not isinstance(fault, Rejected):
                return

    def copies(self) -> Counter[str]:
        return Counter(key for key, _ in self.held)


class Told(Connector):
    """A vendor of messages."""

    Config = dict
    hands: Hands

    def check(self) -> Iterator[Step]:
        return iter(())

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        return self.hands.deliver(self.http, items)


class ToldTracker(Told, Tracker):
    """A vendor of tickets, whose search lags."""

    def find(self, key: str) -> Ticket | None:
        self.http.before_call()  # type: ignore[attr-defined]
        seen = [at for known, at in self.hands.held if known == key and self.hands.now - at >= SEARCH_LAG]
        return Ticket("SEC-1") if seen else None


def wrong_steps(changes: Sequence[Transition], attempts_max: int) -> Iterator[str]:
    """What one delivery did that the state table does not allow, and attempts that were counted wrong."""
    holder: int | None = None
    for change in changes:
        if not change.is_legal and (change.before, change.after) != (
            "pending",
            "held",
        ):  # the test's own doing
            yield f"{change.before} became {change.after}"
        if change.after == "sending":
            holder = change.attempt_after
        elif change.before == "sending" and change.attempt_after != holder:
            yield f"closed by attempt {change.attempt_after}, which did not hold it"
        yield from _wrong_count(change, attempts_max)


def _wrong_count(change: Transition, attempts_max: int) -> Iterator[str]:
    spent = change.attempts_after - change.attempts_before
    if change.before != "sending":
        if change.attempts_after not in (change.attempts_before, 0):
            yield f"{change.before} → {change.after} counted {spent} attempts"
        return
    spends = change.after in ("delivered", "dead", "retrying") or bool(change.doubted)
    if spends and spent != 1:
        yield f"{change.after} counted {spent} attempts"
    if not spends and spent not in ((0,) if change.after == "pending" else (0, 1)):
        yield f"{change.after} counted {spent} attempts"
    if change.attempts_after > attempts_max:
        yield f"{change.attempts_after} attempts, where {attempts_max} are allowed"
