"""The hourly figures summed per connection and part of time, in one statement."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, Select, String, cast, column, func, select, values
from sqlmodel import Session, col

from core.models import HourlyFigures, UtcDateTime

#: up to so many connections the rows are found by connection, beyond by hour
FEW = 5
Query = Select[*tuple[Any, ...]]
Part = tuple[datetime, datetime]  # from, until


class Cell(NamedTuple):
    """What one connection did in one part of time."""

    connection_id: str
    ok: int
    partial: int
    failed: int
    delivered: int
    dead: int
    retried: int

    @property
    def runs(self) -> int:
        return self.ok + self.partial + self.failed


def read(
    session: Session, ids: Query, parts: Mapping[int, Part], *, few: bool
) -> dict[int, tuple[list[Cell], str]]:
    """Part → its cells, and the histograms of its delays as JSON texts with commas between."""
    cells: dict[int, list[Cell]] = defaultdict(list)
    delays: dict[int, list[str]] = defaultdict(list)
    for part, connection_id, *sums, histograms in session.execute(_by_part(ids, parts, few)):
        cells[part].append(Cell(connection_id, *sums))
        if histograms:
            delays[part].append(histograms)
    return {part: (cells[part], ",".join(delays[part])) for part in parts}


def read_sums(session: Session, ids: Query, part: Part, *, few: bool) -> tuple[list[Cell], str]:
    """The same of one part for all connections together; sorting nothing, it costs a third."""
    hour, since, until = col(HourlyFigures.hour), *part
    query = select(*_figures()).where(hour >= since, hour < until, _connection(few).in_(ids))
    *sums, histograms = session.execute(query).one()
    return [Cell("", *(count or 0 for count in sums))], histograms or ""


def _by_part(ids: Query, parts: Mapping[int, Part], few: bool) -> Query:
    table = HourlyFigures
    part = (
        values(column("n", Integer), column("since", UtcDateTime), column("until", UtcDateTime), name="parts")
        .data([(number, since, until) for number, (since, until) in parts.items()])
        .cte("part")
    )
    return (
        select(part.c.n, col(table.connection_id), *_figures())
        .select_from(part)
        .join(table, (col(table.hour) >= part.c.since) & (col(table.hour) < part.c.until))
        .where(_connection(few).in_(ids))
        .group_by(part.c.n, col(table.connection_id))
    )


def _figures() -> list[ColumnElement[Any]]:
    table = HourlyFigures
    counts = (
        table.runs_ok,
        table.runs_partial,
        table.runs_failed,
        table.delivered,
        table.dead,
        table.retried,
    )
    # Histograms come as texts and are added up by the caller: JSON arithmetic differs per database.
    filled = func.nullif(cast(col(table.delay_s), String), "[]")
    return [*(func.sum(col(count)) for count in counts), func.aggregate_strings(filled, ",")]


def _connection(few: bool) -> Any:
    """With many connections the rows of an hour, written together, are read together.

    SQLite would go by connection, whose rows lie an hour's writes apart.
    """
    by_connection: Any = col(HourlyFigures.connection_id)
    return by_connection if few else func.coalesce(by_connection, "")
