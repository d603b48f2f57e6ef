"""The hourly figures of some connections over a span of hours, and the span before it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

import orjson
from sqlalchemy import Select, String, cast, func, select
from sqlmodel import Session, col

from core.journal import BOUNDS_S
from core.models import HourlyFigures

#: hours shown → hours per bar: 24, 28 and 30 bars
BUCKET_H = {24: 1, 168: 6, 720: 24}
BEFORE = -1  # the bucket of the span before
_HOUR = timedelta(hours=1)
Query = Select[*tuple[Any, ...]]


@dataclass(frozen=True)
class Span:
    """Whole buckets, the last one still filling; `before` is as far back as the same time one span ago."""

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
    def before(self) -> tuple[datetime, datetime]:
        return self.start - self.hours * _HOUR, self.last_hour - self.hours * _HOUR

    def bucket_of(self, hour: datetime) -> int:
        return (hour - self.start) // self.bucket

    def time_of(self, bucket: int) -> datetime:
        return self.start + bucket * self.bucket

    @property
    def buckets(self) -> int:
        return self.hours // BUCKET_H[self.hours]


@dataclass(frozen=True)
class Sums:
    runs: int = 0
    ok: int = 0
    delivered: int = 0
    delays: tuple[int, ...] = ()

    @classmethod
    def of(cls, parts: Sequence["Sums"]) -> "Sums":
        return cls(
            sum(part.runs for part in parts),
            sum(part.ok for part in parts),
            sum(part.delivered for part in parts),
            added([part.delays for part in parts]),
        )

    @classmethod
    def of_hours(cls, rows: Sequence[Any]) -> "Sums":
        histograms = orjson.loads("[" + ",".join(row.delays for row in rows if row.delays) + "]")
        return cls(
            sum(row.runs for row in rows),
            sum(row.ok for row in rows),
            sum(row.delivered for row in rows),
            added(histograms),
        )


@dataclass(frozen=True)
class Figure:
    """One number with its past; None where nothing happened. `before`: the same length of time before."""

    value: float | None
    before: float | None
    series: tuple[float, ...]


@dataclass(frozen=True)
class Past:
    now: Sums
    before: Sums
    buckets: tuple[Sums, ...]

    def figure(self, measure: Callable[[Sums], float | None]) -> Figure:
        series = _filled([measure(bucket) for bucket in self.buckets])
        return Figure(measure(self.now), measure(self.before), series)


def read(session: Session, ids: Query, span: Span) -> Past:
    """One pass over the hours of `span` and of the span before it, summed over the connections."""
    first, last = span.before
    hours: dict[int, list[Any]] = defaultdict(list)
    for row in session.execute(_by_hour(ids).where(col(HourlyFigures.hour) >= first)):
        if row.hour >= span.start:
            hours[min(span.bucket_of(row.hour), span.buckets - 1)].append(row)
        elif row.hour <= last:
            hours[BEFORE].append(row)
    buckets = tuple(Sums.of_hours(hours[bucket]) for bucket in range(span.buckets))
    return Past(Sums.of(buckets), Sums.of_hours(hours[BEFORE]), buckets)


def success_rate(sums: Sums) -> float | None:
    """Share of runs in which every record arrived."""
    return sums.ok / sums.runs if sums.runs else None


def delivered(sums: Sums) -> float | None:
    return float(sums.delivered)


def delay_p95_s(sums: Sums) -> float | None:
    """From the hub having a record to the vendor having it."""
    return percentile(sums.delays, BOUNDS_S, 0.95)


def percentile(counts: Sequence[int], bounds: Sequence[float], share: float) -> float | None:
    """From a histogram, evenly spread inside a bucket; the open last bucket answers with its lower bound."""
    wanted, passed, lower = sum(counts) * share, 0, 0.0
    if not wanted:
        return None
    for count, upper in zip(counts, bounds, strict=False):
        if passed + count >= wanted:
            return lower + (upper - lower) * (wanted - passed) / count
        passed, lower = passed + count, float(upper)
    return lower


def added(histograms: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """Counts bucket by bucket; a shorter histogram has nothing in its missing buckets."""
    return tuple(map(sum, zip_longest(*histograms, fillvalue=0)))


def _by_hour(ids: Query) -> Query:
    # The histograms of an hour come as one text and are added up here: JSON arithmetic differs per database.
    figures = HourlyFigures
    runs = func.sum(col(figures.runs_ok) + col(figures.runs_partial) + col(figures.runs_failed))
    return (
        select(
            col(figures.hour).label("hour"),
            runs.label("runs"),
            func.sum(col(figures.runs_ok)).label("ok"),
            func.sum(col(figures.delivered)).label("delivered"),
            func.aggregate_strings(cast(col(figures.delay_s), String), ",").label("delays"),
        )
        .where(col(figures.connection_id).in_(ids))
        .group_by(col(figures.hour))
    )


def _filled(values: Sequence[float | None]) -> tuple[float, ...]:
    """Gaps keep the value before them: a quiet hour is not a bad one."""
    known = next((value for value in values if value is not None), 0.0)
    filled = []
    for value in values:
        known = known if value is None else value
        filled.append(known)
    return tuple(filled)
