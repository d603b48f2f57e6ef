"""Pure: how one connection stands, as one word and one sentence."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from core.access.scope import WITHHELD
from core.delivery.auto_disable import disable_at, is_known
from core.health.facts import Facts
from core.integrations import options
from core.integrations.options import Options
from core.platform.durations import duration
from core.platform.text import natural
from core.storage.models import Connection, RunStatus

#: late when this many intervals have passed, and at least a minute: a busy scheduler is not news
LATE_INTERVALS, LATE_AT_LEAST_S = 2, 60
#: a failure that is older is more than a blip: from then on it is said how it ends
LASTING = timedelta(hours=1)
_LATE_NEXT = "The scheduler runs: if it does not go on by itself, look at its log."


class Status(StrEnum):
    """Worst first: the order of the page."""

    NEEDS_YOU = "Needs you"
    FAILING = "Failing"
    LATE = "Late"
    CATCHING_UP = "Catching up"
    NOT_RUN = "Not run yet"
    HEALTHY = "Healthy"
    PAUSED = "Paused"


@dataclass(frozen=True)
class ConnectionStatus:
    word: Status
    sentence: str

    @property
    def needs_attention(self) -> bool:
        return self.word in (Status.NEEDS_YOU, Status.FAILING, Status.LATE)

    @property
    def rank(self) -> int:
        return list(Status).index(self.word)


def standing(connection: Connection, facts: Facts, now: datetime) -> ConnectionStatus:
    """How a connection stands: the first that holds, worst first."""
    looks = (
        *(_needs_you, _paused, _locked, _held, _throttled, _failing),
        *(_stopped, _not_run, _late, _catching_up, _draining),
    )
    for look in looks:
        found = look(connection, facts, now)
        if found is not None:
            return found
    return _healthy(connection, facts, now)


def by_need(status: ConnectionStatus, name: str) -> tuple[Any, ...]:
    """The order of every list of connections: who needs somebody first, then by name, 2 before 10."""
    return status.rank, natural(name)


def every_s(connection: Connection) -> int:
    return options.every_s(connection.options)


def _needs_you(connection: Connection, facts: Facts, now: datetime) -> ConnectionStatus | None:
    if connection.problem:
        problem = WITHHELD if facts.withheld else connection.problem
        return ConnectionStatus(Status.NEEDS_YOU, problem + _end(connection, now))
    if connection.wait_reason == "misconfigured":
        sentence = "The vendor refuses these settings. Test the connection and correct them."
        return ConnectionStatus(Status.NEEDS_YOU, sentence)
    return None


def _paused(connection: Connection, facts: Facts, now: datetime) -> ConnectionStatus | None:
    if connection.is_active:
        return None
    return ConnectionStatus(Status.PAUSED, "Switched off: nothing is sent until somebody switches it on.")


def _locked(connection: Connection, facts: Facts, now: datetime) -> ConnectionStatus | None:
    return ConnectionStatus(Status.NEEDS_YOU, facts.lack) if facts.lack else None


def _held(connection: Connection, facts: Facts, now: datetime) -> ConnectionStatus | None:
    return ConnectionStatus(Status.NEEDS_YOU, held_sentence(facts.held)) if facts.held else None


def _throttled(connection: Connection, facts: Facts, now: datetime) -> ConnectionStatus | None:
    until = connection.next_call_at
    if connection.wait_reason != "throttled" or until is None or until <= now:
        return None
    pause = duration((until - now).total_seconds())
    return ConnectionStatus(Status.CATCHING_UP, f"The vendor asked to slow down; it goes on in {pause}.")


def _failing(connection: Connection, facts: Facts, now: datetime) -> ConnectionStatus | None:
    if not connection.failures and not (connection.recent and connection.recent[-1][1] == RunStatus.FAILED):
        return None
    many = connection.failures > 1
    calls = f"{connection.failures} calls in a row failed" if many else "The last run failed"
    since = connection.last_success_at
    lasting = f"; the last success was {duration((now - since).total_seconds())} ago" if since else ""
    return ConnectionStatus(
        Status.FAILING, f"{calls}{lasting}. {_next_try(connection, facts, now)}{_end(connection, now)}"
    )


def held_sentence(held: int) -> str:
    tickets = "1 ticket waits" if held == 1 else f"{held:,} tickets wait"
    return f"{tickets} for you: this many at once are not created unasked. Release or discard them."


def end_of(connection: Connection, now: datetime) -> datetime | None:
    """When a connection that fails is switched off, if nothing changes; None when that is not in sight."""
    since = connection.failing_since
    if since is None or not connection.is_active or not is_known(connection.last_failure_at, now):
        return None
    return disable_at(since)


def _end(connection: Connection, now: datetime) -> str:
    """What comes of it, once it has lasted."""
    end = end_of(connection, now)
    if end is None or connection.failing_since is None or now - connection.failing_since < LASTING:
        return ""
    return f" It is switched off on {end:%d %b at %H:%M} UTC unless a delivery succeeds before."


def _stopped(connection: Connection, facts: Facts, now: datetime) -> ConnectionStatus | None:
    due = connection.next_wake_at
    if not facts.scheduler.is_silent or facts.scheduler.age_s is None or due is None or due >= now:
        return None
    since = duration((now - due).total_seconds())
    return ConnectionStatus(Status.LATE, f"It was due {since} ago. {facts.scheduler.sentence}: start it.")


def _not_run(connection: Connection, facts: Facts, now: datetime) -> ConnectionStatus | None:
    if connection.last_sync is not None:
        return None
    sentence = f"It has not run since it was made. {_next_try(connection, facts, now)}"
    return ConnectionStatus(Status.NOT_RUN, sentence)


def _late(connection: Connection, facts: Facts, now: datetime) -> ConnectionStatus | None:
    assert connection.last_sync is not None
    passed_s, interval_s = (now - connection.last_sync).total_seconds(), every_s(connection)
    if passed_s <= max(LATE_INTERVALS * interval_s, interval_s + LATE_AT_LEAST_S):
        return None
    sentence = f"The last sync was {duration(passed_s)} ago; one is due every {duration(interval_s)}."
    return ConnectionStatus(Status.LATE, f"{sentence} {_LATE_NEXT}")


def _catching_up(connection: Connection, facts: Facts, now: datetime) -> ConnectionStatus | None:
    if facts.retrying:
        sentence = f"{facts.unsent.text} waiting; {facts.retrying:,} of them failed once and are tried again."
        return ConnectionStatus(Status.CATCHING_UP, _begun(sentence))
    limit = _batch_limit(connection)
    if facts.unsent.number <= limit and not facts.unsent.more:
        return None
    if _takes_all(connection):
        return ConnectionStatus(
            Status.CATCHING_UP, _begun(f"{facts.unsent.text} records are waiting to be sent.")
        )
    syncs, every = math.ceil(facts.unsent.number / limit), every_s(connection)
    at_least = "over " if facts.unsent.more else ""
    pace = f"at {limit:,} every {duration(every)} that takes {at_least}{duration(syncs * every)}"
    return ConnectionStatus(Status.CATCHING_UP, _begun(f"{facts.unsent.text} records wait; {pace}."))


def _draining(connection: Connection, facts: Facts, now: datetime) -> ConnectionStatus | None:
    if connection.drain_to is None or not facts.unsent:
        return None
    return ConnectionStatus(Status.CATCHING_UP, _begun(f"{facts.unsent.text} records are being sent."))


def _healthy(connection: Connection, facts: Facts, now: datetime) -> ConnectionStatus:
    assert connection.last_sync is not None
    last = f"The last sync was {duration((now - connection.last_sync).total_seconds())} ago."
    return ConnectionStatus(Status.HEALTHY, f"{_arrived(connection, facts, now)} {last}")


def _arrived(connection: Connection, facts: Facts, now: datetime) -> str:
    """What is delivered and what is not, of all that the connection wants."""
    if facts.unsent:
        wait = "record waits" if facts.unsent.number == 1 else "records wait"
        return f"{facts.unsent.text} {wait} for the next sync{_when(connection, now)}."
    if facts.dead:
        refused = "1 record" if facts.dead == 1 else f"{facts.dead:,} records"
        return f"Everything is delivered but {refused} that could not be."
    return "Everything is delivered."


def _begun(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _batch_limit(connection: Connection) -> int:
    return int(connection.options.get("batch_limit") or Options.batch_limit)


def _takes_all(connection: Connection) -> bool:
    """Whether one sync goes on until nothing is left."""
    chosen = connection.options
    return bool(chosen.get("drain") or chosen.get("realtime") or connection.drain_to is not None)


def _when(connection: Connection, now: datetime) -> str:
    due = connection.next_sync_at
    return f" in {duration((due - now).total_seconds())}" if due and due > now else ""


def _next_try(connection: Connection, facts: Facts, now: datetime) -> str:
    if facts.scheduler.is_silent:
        return f"{facts.scheduler.sentence}: the next try waits for it."
    due = max(filter(None, (connection.next_call_at, connection.next_sync_at)), default=None)
    if due is None or due <= now:
        return "The next try is due now."
    return f"The next try is in {duration((due - now).total_seconds())}."
