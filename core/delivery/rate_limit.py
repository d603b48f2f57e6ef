"""How many calls a minute a vendor takes: a bucket in the connection's row, the same for every process."""

from datetime import datetime, timedelta

BURST_S = 10  # of calls at the vendor's rate may come at once


def take_call(
    rate_until: datetime | None, per_minute: int | None, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """One call out of the bucket: (the new `rate_until`, None), or (unchanged, when calls are possible again).

    The generic cell rate algorithm: `rate_until` is the moment at which all calls so far would have fitted the
    rate. A burst of ten seconds' worth may run ahead of it; then the connection waits until it has caught up,
    so a worker sends bursts and holds no thread in between. At 60 a minute: 10 calls at once, then 10 s later.
    """
    if per_minute is None:
        return rate_until, None
    step = timedelta(seconds=60 / per_minute)
    ahead = max(rate_until or now, now) + step
    if ahead - now > max(timedelta(seconds=BURST_S), step):
        return rate_until, rate_until
    return ahead, None


def charge(rate_until: datetime | None, per_minute: int | None, calls: int) -> datetime | None:
    """`rate_until` after `calls` more than the one that was taken: look-ups, and the halves of a refused batch."""
    if rate_until is None or per_minute is None or calls <= 0:
        return rate_until
    return rate_until + timedelta(seconds=60 / per_minute * calls)
