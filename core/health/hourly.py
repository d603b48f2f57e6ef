"""The hourly figures summed per connection and part of time, by one statement each."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, String, bindparam, cast, func, select
from sqlmodel import Session, col

from core.storage.models import HourlyFigures, UtcDateTime

#: connections, up to which rows are found by connection; for more than that by hour
FEW = 5
Query = Select[*tuple[Any, ...]]
Part = tuple[datetime, datetime]  # from, until
BOUNDS = ("since", "until")


class Cell(NamedTuple):
    """What one connection did in one part of time."""

    connection_id: str
    ok: int
    partial: int
    failed: int
    blocked: int
    delivered: int
    dead: int
    retried: int

    @property
    def runs(self) -> int:
        return self.ok + self.partial + self.failed + self.blocked


def read(
    session: Session, ids: Query, parts: Mapping[int, Part], *, few: bool
) -> dict[int, tuple[list[Cell], str]]:
    """Part → its cells, and the histograms of its delays as JSON texts with commas between."""
    by_connection = col(HourlyFigures.connection_id)
    query = select(by_connection, *_figures()).where(*_within(ids, few)).group_by(by_connection)
    return {number: _cells(session, query, part) for number, part in parts.items()}


def read_sums(session: Session, ids: Query, part: Part, *, few: bool) -> tuple[list[Cell], str]:
    """The same of one part for all connections together; sorting nothing, it costs a third."""
    query = select(*_figures()).where(*_within(ids, few))
    *sums, histograms = session.execute(query, _bounds(part)).one()
    return [Cell("", *(count or 0 for count in sums))], histograms or ""


def _cells(session: Session, query: Query, part: Part) -> tuple[list[Cell], str]:
    # A part at a time: all in one statement would sort every row of the span, and take a quarter longer.
    rows = session.execute(query, _bounds(part)).all()
    return [Cell(*row[:-1]) for row in rows], ",".join(row[-1] for row in rows)


def _within(ids: Query, few: bool) -> list[ColumnElement[bool]]:
    hour, since, until = col(HourlyFigures.hour), *(bindparam(name, type_=UtcDateTime) for name in BOUNDS)
    return [hour >= since, hour < until, _connection(few).in_(ids)]


def _bounds(part: Part) -> dict[str, datetime]:
    return dict(zip(BOUNDS, part, strict=True))


def _figures() -> list[ColumnElement[Any]]:
    table = HourlyFigures
    counts = (
        table.runs_ok,
        table.runs_partial,
        table.runs_failed,
        table.runs_blocked,
        table.delivered,
        table.dead,
        table.retried,
    )
    # Histograms come as texts and are added up by the caller: JSON arithmetic differs per database.
    histograms = func.aggregate_strings(cast(col(table.delay_s), String), ",")
    return [*(func.sum(col(count)) for count in counts), histograms]


def _connection(few: bool) -> Any:
    """With many connections the rows of an hour, written together, are read together.

    SQLite would go by connection, whose rows lie an hour's writes apart.
    """
    by_connection: Any = col(HourlyFigures.connection_id)
    return by_connection if few else func.coalesce(by_connection, "")
