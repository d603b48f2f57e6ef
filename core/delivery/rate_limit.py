"""How many calls a minute a vendor takes: a bucket in the connection's row, the same for every process."""

from datetime import datetime, timedelta

BURST_S = 10  # of calls at the vendor's rate may come at once


def room(
    rate_until: datetime | None, per_minute: int | None, now: datetime
) -> tuple[int | None, datetime | None]:
    """How many calls may be made now, None for any number; with 0 also when calls are possible again.

    The generic cell rate algorithm: `rate_until` is the moment at which all calls so far would have fitted the
    rate. A burst of ten seconds' worth may run ahead of it; then the connection waits until it has caught up,
    so a worker sends bursts and holds no thread in between. At 60 a minute: 10 calls at once, then 10 s later.
    """
    if per_minute is None:
        return None, None
    step = timedelta(seconds=60 / per_minute)
    ahead = max(rate_until or now, now) - now
    calls = max(0, (max(timedelta(seconds=BURST_S), step) - ahead) // step)
    return calls, None if calls else rate_until


def charge(rate_until: datetime | None, per_minute: int | None, calls: int, now: datetime) -> datetime | None:
    """`rate_until` after `calls`; fewer than none gives back what was charged before and not used."""
    if per_minute is None or not calls:
        return rate_until
    start = rate_until or now if calls < 0 else max(rate_until or now, now)
    return start + timedelta(seconds=60 / per_minute * calls)
