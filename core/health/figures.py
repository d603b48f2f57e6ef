"""The hourly figures of some connections over a span of hours, and over the span before it."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from cachetools import TTLCache
from sqlmodel import Session

from core.delivery.histogram import BOUNDS_S, added, percentile, sum_of_texts
from core.health import hourly
from core.health.hourly import FEW, Cell, Part, Query

#: hours shown → hours per bar: 24, 28 and 30 bars
BUCKET_H = {24: 1, 168: 6, 720: 24}
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Span:
    """Whole buckets, the last one still filling; `before` ends at the same time one span ago."""

    start: datetime
    last_hour: datetime
    hours: int

    @classmethod
    def ending(cls, now: datetime, hours: int) -> "Span":
        last_hour = now.replace(minute=0, second=0, microsecond=0)
        bucket_s = BUCKET_H[hours] * 3600
        end_s = (int(now.timestamp()) // bucket_s + 1) * bucket_s
        return cls(datetime.fromtimestamp(end_s, now.tzinfo) - hours * _HOUR, last_hour, hours)

    @property
    def bucket(self) -> timedelta:
        return BUCKET_H[self.hours] * _HOUR

    @property
    def before(self) -> Part:
        return self.start - self.hours * _HOUR, self.last_hour - (self.hours - 1) * _HOUR

    def part(self, bucket: int) -> Part:
        return self.time_of(bucket), self.time_of(bucket + 1)

    def bucket_of(self, hour: datetime) -> int:
        return (hour - self.start) // self.bucket

    def time_of(self, bucket: int) -> datetime:
        return self.start + bucket * self.bucket

    @property
    def buckets(self) -> int:
        return self.hours // BUCKET_H[self.hours]

    @property
    def times(self) -> list[datetime]:
        """When each bucket begins."""
        return [self.time_of(bucket) for bucket in range(self.buckets)]


@dataclass(frozen=True)
class Sums:
    runs: int = 0
    ok: int = 0
    delivered: int = 0
    delays: tuple[int, ...] = ()  # a histogram with the bounds BOUNDS_S

    @classmethod
    def of(cls, parts: Sequence["Sums"]) -> "Sums":
        return cls(
            sum(part.runs for part in parts),
            sum(part.ok for part in parts),
            sum(part.delivered for part in parts),
            added([part.delays for part in parts]),
        )


@dataclass(frozen=True)
class Bucket:
    cells: tuple[Cell, ...]  # each connection that ran in it
    sums: Sums

    @classmethod
    def of(cls, cells: Sequence[Cell], histograms: str) -> "Bucket":
        runs, ok = sum(cell.runs for cell in cells), sum(cell.ok for cell in cells)
        sent = sum(cell.delivered for cell in cells)
        return cls(tuple(cells), Sums(runs, ok, sent, sum_of_texts(histograms)))


@dataclass(frozen=True)
class Figure:
    """One number with its past; None where nothing happened, and in `series` before anything ever did.

    `before`: the same length of time before.
    """

    value: float | None
    before: float | None
    series: tuple[float | None, ...]


@dataclass(frozen=True)
class Past:
    now: Sums
    before: Sums
    buckets: tuple[Bucket, ...]

    def figure(self, measure: Callable[[Sums], float | None]) -> Figure:
        before = measure(self.before) if self.before.runs else None
        began = next((place for place, bucket in enumerate(self.buckets) if bucket.sums.runs), 0)
        values = [measure(bucket.sums) for bucket in self.buckets]
        if not self.before.runs:
            values[:began] = [None] * began
        return Figure(measure(self.now), before, _filled(values))


#: A bucket that ended over an hour ago is not written to any more. The key has the connections themselves
#: and not who asks, so nobody is answered with someone else's. A page that refreshes itself reads the rest alone.
KEPT, KEPT_S = 1000, 300
_over: TTLCache[Hashable, Bucket] = TTLCache(KEPT, KEPT_S)
_lock = Lock()  # looking one up moves it to the end


def read(session: Session, ids: Query, known: frozenset[str], span: Span) -> Past:
    """Read the hours of `span` and of the span before it; `ids` selects the connections `known`."""
    database, few = str(session.get_bind().engine.url), len(known) <= FEW
    keys = [(database, known, *span.part(bucket)) for bucket in range(span.buckets)]
    found = {bucket: kept for bucket, key in enumerate(keys) if (kept := _kept(key))}
    wanted = {bucket: span.part(bucket) for bucket in range(span.buckets) if bucket not in found}
    for bucket, read_now in hourly.read(session, ids, wanted, few=few).items():
        found[bucket] = Bucket.of(*read_now)
        if span.time_of(bucket + 1) < span.last_hour:
            _keep(keys[bucket], found[bucket])
    key = (database, known, "before", *span.before)
    before = _kept(key)
    if before is None:
        before = Bucket.of(*hourly.read_sums(session, ids, span.before, few=few))
        _keep(key, before)
    buckets = tuple(found[bucket] for bucket in range(span.buckets))
    return Past(Sums.of([bucket.sums for bucket in buckets]), before.sums, buckets)


def forget() -> None:
    """As after a start: everything is read again."""
    with _lock:
        _over.clear()


def _kept(key: Hashable) -> Bucket | None:
    with _lock:
        return _over.get(key)


def _keep(key: Hashable, bucket: Bucket) -> None:
    with _lock:
        _over[key] = bucket


def success_rate(sums: Sums) -> float | None:
    """Share of runs in which every record arrived."""
    return sums.ok / sums.runs if sums.runs else None


def delivered(sums: Sums) -> float | None:
    return float(sums.delivered)


def delay_p95_s(sums: Sums) -> float | None:
    """From the hub having a record to the vendor having it."""
    return percentile(sums.delays, BOUNDS_S, 0.95)


def _filled(values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Gaps keep the value before them, as a quiet hour is not a bad one; before the first value there is none."""
    known: float | None = None
    filled = []
    for value in values:
        known = known if value is None else value
        filled.append(known)
    return tuple(filled)
