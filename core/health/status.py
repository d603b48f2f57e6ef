"""Pure: how one connection stands, as one word and one sentence."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from core.delivery.auto_disable import disable_at, is_known
from core.integrations import options
from core.platform.durations import duration
from core.storage.models import Connection, RunStatus

#: late when this many intervals have passed, and at least a minute: a busy scheduler is not news
LATE_INTERVALS, LATE_AT_LEAST_S = 2, 60
#: a failure that is older is more than a blip: from then on it is said how it ends
LASTING = timedelta(hours=1)


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


def standing(
    connection: Connection, *, waiting: int, retrying: int, now: datetime, held: int = 0
) -> ConnectionStatus:
    """`waiting` deliveries are due or will be; `retrying` of them were tried at least once; `held` wait for a
    person."""
    for look in (_needs_you, _paused):
        found = look(connection, now)
        if found is not None:
            return found
    if held:
        return ConnectionStatus(Status.NEEDS_YOU, held_sentence(held))
    for look in (_throttled, _failing, _not_run, _late):
        found = look(connection, now)
        if found is not None:
            return found
    return _catching_up(connection, waiting, retrying) or ConnectionStatus(
        Status.HEALTHY, f"Everything is delivered. {_last_sync(connection, now)}"
    )


def every_s(connection: Connection) -> int:
    return options.every_s(connection.options)


def _needs_you(connection: Connection, now: datetime) -> ConnectionStatus | None:
    if connection.problem:
        return ConnectionStatus(Status.NEEDS_YOU, connection.problem + _end(connection, now))
    if connection.wait_reason == "misconfigured":
        sentence = "The vendor refuses these settings. Test the connection and correct them."
        return ConnectionStatus(Status.NEEDS_YOU, sentence)
    return None


def _paused(connection: Connection, now: datetime) -> ConnectionStatus | None:
    if connection.is_active:
        return None
    return ConnectionStatus(Status.PAUSED, "Switched off: nothing is sent until somebody switches it on.")


def _throttled(connection: Connection, now: datetime) -> ConnectionStatus | None:
    until = connection.next_call_at
    if connection.wait_reason != "throttled" or until is None or until <= now:
        return None
    pause = duration((until - now).total_seconds())
    return ConnectionStatus(Status.CATCHING_UP, f"The vendor asked to slow down; it goes on in {pause}.")


def _failing(connection: Connection, now: datetime) -> ConnectionStatus | None:
    if not connection.failures and not (connection.recent and connection.recent[-1][1] == RunStatus.FAILED):
        return None
    many = connection.failures > 1
    calls = f"{connection.failures} calls in a row failed" if many else "The last run failed"
    since = connection.last_success_at
    lasting = f"; the last success was {duration((now - since).total_seconds())} ago" if since else ""
    return ConnectionStatus(
        Status.FAILING, f"{calls}{lasting}. {_next_try(connection, now)}{_end(connection, now)}"
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


def _not_run(connection: Connection, now: datetime) -> ConnectionStatus | None:
    if connection.last_sync is not None:
        return None
    return ConnectionStatus(Status.NOT_RUN, f"It has not run since it was made. {_next_try(connection, now)}")


def _late(connection: Connection, now: datetime) -> ConnectionStatus | None:
    assert connection.last_sync is not None
    passed_s, interval_s = (now - connection.last_sync).total_seconds(), every_s(connection)
    if passed_s <= max(LATE_INTERVALS * interval_s, interval_s + LATE_AT_LEAST_S):
        return None
    sentence = f"The last sync was {duration(passed_s)} ago; one is due every {duration(interval_s)}."
    return ConnectionStatus(Status.LATE, f"{sentence} Check that the scheduler runs.")


def _catching_up(connection: Connection, waiting: int, retrying: int) -> ConnectionStatus | None:
    if retrying:
        return ConnectionStatus(
            Status.CATCHING_UP, f"{waiting:,} waiting; {retrying:,} of them failed once and are tried again."
        )
    if waiting > connection.options.get("batch_limit", 10):
        return ConnectionStatus(Status.CATCHING_UP, f"{waiting:,} records are waiting to be sent.")
    return None


def _next_try(connection: Connection, now: datetime) -> str:
    due = max(filter(None, (connection.next_call_at, connection.next_sync_at)), default=None)
    if due is None or due <= now:
        return "The next try is due now."
    return f"The next try is in {duration((due - now).total_seconds())}."


def _last_sync(connection: Connection, now: datetime) -> str:
    assert connection.last_sync is not None
    return f"The last sync was {duration((now - connection.last_sync).total_seconds())} ago."
