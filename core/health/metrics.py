"""The hub's figures for Prometheus: runs, deliveries by state and fault, queue age, call latency, heartbeat, source.

Labels are vendors, never connections: their names are people's words, and there may be 100,000 of them.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version
from itertools import accumulate
from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from sqlalchemy import ColumnElement, Select, String, and_, case, cast, func, literal_column, select
from sqlmodel import Session, col

from core.delivery import backlog, heartbeat, schedule, workers
from core.delivery.histogram import BOUNDS_MS, BOUNDS_S, added
from core.delivery.journal import SUMS
from core.delivery.outbox.queries import in_states
from core.records import source
from core.storage import db
from core.storage.models import (
    STUCK,
    WAITING,
    CatalogEntry,
    Connection,
    Delivery,
    HourlyFigures,
    RunStatus,
    State,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
#: an hour's row is written by the run that ends in it; after this long nobody adds to it any more
SETTLED = timedelta(hours=2)
#: what is not finished, as the partial indexes have it
_RUNS = (
    (RunStatus.SUCCESS, "runs_ok"),
    (RunStatus.PARTIAL, "runs_partial"),
    (RunStatus.FAILED, "runs_failed"),
    (RunStatus.BLOCKED, "runs_blocked"),
)
_STATES = (WAITING, (State.SENDING,), STUCK)


@dataclass
class Totals:
    """Of one vendor, since the hub was installed."""

    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SUMS, 0))
    call_ms: tuple[int, ...] = ()
    delay_s: tuple[int, ...] = ()

    def plus(self, other: "Totals") -> "Totals":
        return Totals(
            {name: self.sums[name] + other.sums[name] for name in SUMS},
            added([self.call_ms, other.call_ms]),
            added([self.delay_s, other.delay_s]),
        )


class Metrics:
    """Remembers what the settled hours add up to, so that a scrape reads the last hours only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settled: dict[str, Totals] = {}
        self._until: datetime | None = None

    def text(self) -> bytes:
        """The exposition format. Raises Unusable when the database cannot be read."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("hub_build", "The hub.", {"version": version("footprintiq-hub")})
        with db.reading() as session:
            now = db.now(session)
            present = [
                *_queue(session, now),
                _backlog(session),
                _connections(session),
                _heartbeat(heartbeat.read(session, now).age_s),
                *_workers(workers.read(session, now)),
                _lag(schedule.lag_s(session, now)),
            ]
        present += _source(source.state())
        totals = self._totals(now)
        yield from _counters(totals)
        yield from _histograms(totals)
        yield from present

    def _totals(self, now: datetime) -> dict[str, Totals]:
        border = now.replace(minute=0, second=0, microsecond=0) - SETTLED
        with self._lock:
            if self._until is None or self._until < border:
                self._settled = _merged(self._settled, _read(self._until, border))
                self._until = border
            return _merged(self._settled, _read(self._until, None))


# --- totals of the hourly figures -----------------------------------------------------------------


def _read(since: datetime | None, until: datetime | None) -> dict[str, Totals]:
    """Totals by vendor. Added up when the transaction is over: of years of hours that takes seconds, and
    PostgreSQL ends a transaction that is silent for so long."""
    with db.reading() as session:
        rows = session.execute(_hours(since, until)).all()
    found = {}
    for slug, *values in rows:
        call_ms, delay_s = (added(orjson.loads(f"[{text or ''}]")) for text in values[-2:])
        found[slug] = Totals(dict(zip(SUMS, map(int, values), strict=False)), call_ms, delay_s)
    return found


def _hours(since: datetime | None, until: datetime | None) -> Select[*tuple[Any, ...]]:
    """The sums and the histograms, as one text each, of the hours from `since` to before `until`."""
    table = HourlyFigures
    texts = [
        func.aggregate_strings(cast(col(column), String), ",") for column in (table.call_ms, table.delay_s)
    ]
    query = (
        select(col(CatalogEntry.slug), *[func.sum(col(getattr(table, name))) for name in SUMS], *texts)
        .join(Connection, col(Connection.id) == col(table.connection_id))
        .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
        .group_by(col(CatalogEntry.slug))
    )
    if since is not None:
        query = query.where(col(table.hour) >= since)
    if until is not None:
        query = query.where(col(table.hour) < until)
    return query


def _merged(one: dict[str, Totals], other: dict[str, Totals]) -> dict[str, Totals]:
    return {slug: one.get(slug, Totals()).plus(other.get(slug, Totals())) for slug in {*one, *other}}


def _counters(totals: dict[str, Totals]) -> Iterator[Metric]:
    runs = CounterMetricFamily("hub_runs", "Runs that had something to do.", labels=["vendor", "status"])
    outcomes = CounterMetricFamily("hub_outcomes", "What became of records.", labels=["vendor", "outcome"])
    calls = CounterMetricFamily("hub_calls", "Calls to a vendor.", labels=["vendor"])
    bytes_out = CounterMetricFamily("hub_sent_bytes", "Bytes sent to a vendor.", labels=["vendor"])
    for slug, total in sorted(totals.items()):
        for status, name in _RUNS:
            runs.add_metric([slug, status], total.sums[name])
        for outcome in ("delivered", "dead", "retried", "in_doubt"):
            outcomes.add_metric([slug, outcome], total.sums[outcome])
        calls.add_metric([slug], total.sums["calls"])
        bytes_out.add_metric([slug], total.sums["bytes_out"])
    yield from (runs, outcomes, calls, bytes_out)


def _histograms(totals: dict[str, Totals]) -> Iterator[Metric]:
    calls = HistogramMetricFamily("hub_call_seconds", "How long a vendor took to answer.", labels=["vendor"])
    delays = HistogramMetricFamily(
        "hub_delay_seconds", "From the hub having a record to the vendor having it.", labels=["vendor"]
    )
    for slug, total in sorted(totals.items()):
        _add_histogram(calls, slug, [bound / 1000 for bound in BOUNDS_MS], total.call_ms)
        _add_histogram(delays, slug, BOUNDS_S, total.delay_s)
    yield from (calls, delays)


def _add_histogram(
    family: HistogramMetricFamily, slug: str, bounds: Sequence[float], counts: Sequence[int]
) -> None:
    """Without a sum, which the hourly figures do not keep; quantiles need the buckets only."""
    sums = list(accumulate([*counts, *[0] * (len(bounds) + 1 - len(counts))]))
    names = [*(f"{bound:g}" for bound in bounds), "+Inf"]
    family.add_metric([slug], list(zip(names, sums, strict=True)), None)
    family.add_sample(f"{family.name}_count", {"vendor": slug}, sums[-1])


# --- what is there now ----------------------------------------------------------------------------


def _queue(session: Session, now: datetime) -> Iterator[Metric]:
    standing = GaugeMetricFamily(
        "hub_deliveries", "Deliveries that are not finished.", labels=["vendor", "state", "fault"]
    )
    age = GaugeMetricFamily(
        "hub_queue_age_seconds", "How long the oldest waiting record has waited.", labels=["vendor"]
    )
    oldest: dict[str, datetime] = defaultdict(lambda: now)
    for slug, state, fault, number, since in _standing(session):
        standing.add_metric([slug, state, fault], number)
        oldest[slug] = min(oldest[slug], now if state in (State.DEAD, State.HELD) else since)
    for slug, since in sorted(oldest.items()):
        age.add_metric([slug], (now - since).total_seconds())
    yield from (standing, age)


def _standing(session: Session) -> list[tuple[str, str, str, int, datetime]]:
    """(vendor, state, fault, rows, oldest), through the partial indexes: finished rows are not looked at."""
    row = Delivery
    found: list[tuple[str, str, str, int, datetime]] = []
    # not by the column itself: SQLite would read all rows in the order of an index that has it first
    connection = func.coalesce(col(row.webhook_id), "").label("webhook_id")
    for states in _STATES:
        inner = (
            select(
                connection,
                col(row.state),
                _fault().label("fault"),
                func.count().label("number"),
                func.min(col(row.wanted_at)).label("since"),
            )
            .where(in_states(states))
            .group_by(literal_column("1"), col(row.state), literal_column("fault"))
            .subquery()
        )
        query = (
            select(
                col(CatalogEntry.slug),
                inner.c.state,
                inner.c.fault,
                func.sum(inner.c.number),
                func.min(inner.c.since),
            )
            .join(Connection, col(Connection.id) == inner.c.webhook_id)
            .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
            .group_by(col(CatalogEntry.slug), inner.c.state, inner.c.fault)
        )
        found += [
            (slug, state, fault, int(number), since)
            for slug, state, fault, number, since in session.execute(query)
        ]
    return found


def _fault() -> ColumnElement[str]:
    """Why it is not delivered: what the vendor's last answer was, if there was one."""
    status = col(Delivery.response_status)
    unmapped = and_(col(Delivery.state) == State.DEAD, col(Delivery.attempt_count) == 0)
    return case(
        (unmapped, "unmappable"),
        (status >= 500, "5xx"),
        (status == 429, "429"),
        (status >= 400, "4xx"),
        (status.is_not(None), "answer"),
        (col(Delivery.attempt_count) > 0, "no_answer"),
        else_="none",
    )


def _backlog(session: Session) -> Metric:
    family = GaugeMetricFamily(
        "hub_backlog",
        f"Records that connections want and have not taken yet, at most {backlog.MOST:,} of each connection.",
        labels=["vendor"],
    )
    active = (col(Connection.is_active), col(Connection.deleted_at).is_(None))
    rows = session.execute(
        select(Connection, col(CatalogEntry.slug))
        .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
        .where(*active)
    ).all()
    found = backlog.read(session, select(col(Connection.id)).where(*active), [row[0] for row in rows])
    sums: dict[str, int] = defaultdict(int)
    for connection, slug in rows:
        sums[slug] += found.get(connection.id, backlog.NONE).number
    for slug, number in sorted(sums.items()):
        family.add_metric([slug], number)
    return family


def _connections(session: Session) -> Metric:
    family = GaugeMetricFamily(
        "hub_connections", "Connections, and why they wait.", labels=["vendor", "active", "waits"]
    )
    query: Any = (
        select(col(CatalogEntry.slug), col(Connection.is_active), col(Connection.wait_reason), func.count())
        .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
        .where(col(Connection.deleted_at).is_(None))
        .group_by(col(CatalogEntry.slug), col(Connection.is_active), col(Connection.wait_reason))
    )
    for slug, active, reason, number in session.execute(query):
        family.add_metric([slug, "yes" if active else "no", reason or "no"], number)
    return family


def _heartbeat(age_s: float | None) -> Metric:
    family = GaugeMetricFamily(
        "hub_scheduler_heartbeat_age_seconds",
        "Seconds since the scheduler was heard of; absent: never.",
        labels=[],
    )
    if age_s is not None:
        family.add_metric([], age_s)
    return family


def _workers(found: workers.Workers | None) -> Iterator[Metric]:
    """Nothing where the scheduler's own threads run what is due."""
    if found is None:
        return
    for name, said, number in (
        ("hub_workers", "Workers that live.", found.number),
        ("hub_worker_threads", "How many runs all workers take at once.", found.threads),
        ("hub_worker_runs", "Runs that workers are at.", found.running),
        ("hub_work_queue_length", "Runs that wait in the work queue for a worker.", found.queued),
    ):
        family = GaugeMetricFamily(name, said, labels=[])
        family.add_metric([], number)
        yield family


def _lag(lag_s: float) -> Metric:
    family = GaugeMetricFamily(
        "hub_schedule_lag_seconds",
        "How long the connection that waits the longest for a run has been due; 0: none waits.",
        labels=[],
    )
    family.add_metric([], lag_s)
    return family


def _source(state: source.SourceState | None) -> Iterator[Metric]:
    """Nothing where the hub has no source, and no lag before the first pull that came through."""
    if state is None:
        return
    up = GaugeMetricFamily("hub_source_up", "Whether the last pull of the source came through.", labels=[])
    up.add_metric([], float(state.error is None))
    yield up
    if state.lag_s is not None:
        lag = GaugeMetricFamily(
            "hub_source_lag_seconds", "What the source had so long ago is in the hub.", labels=[]
        )
        lag.add_metric([], state.lag_s)
        yield lag
