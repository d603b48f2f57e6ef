"""How long until every one of many connections has delivered the one record that is due for each.

    .venv/bin/python -m bench.burst [--connections 1000]

A real scheduler process; connections with `realtime` to receivers of their own, which the sink tells apart by their
addresses. The clock starts when the record is stored.
"""

import argparse
import tempfile
import time
from pathlib import Path

from sqlalchemy import func, select
from sqlmodel import col

from bench import clock, feed, hubs, ours, sink
from bench.realtime import scheduler
from core import connections
from core.access import LOCAL
from core.records import intake
from core.storage import db
from core.storage.models import Connection, Kind

LIMIT_S = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=1000)
    count = parser.parse_args().connections
    seconds, arrived = measure(count)
    print(f"{arrived:,} of {count:,} connections have delivered after {seconds:.1f} s")


def measure(count: int) -> tuple[float, int]:
    """Seconds from the commit until each has delivered, and how many have."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder, sink.Sink() as there:
        owner = hubs.new(Path(folder))
        for number in range(count):
            values = ours.FLOWS["messages"].values(f"{there.url}/{sink.name(number)}")
            options = {"every": "1h", "realtime": True}
            connections.create(LOCAL, "webhook", name=f"Burst {number}", values=values, options=options)
        with scheduler():
            clock.until_it_beats()
            until_idle()
            (alert,) = feed.alerts(1, owner)
            there.begin()
            began = time.perf_counter()
            intake.store(LOCAL, Kind.ALERT, [alert | {"id": "one"}])
            arrived = there.until(count, LIMIT_S)
            return time.perf_counter() - began, arrived


def until_idle() -> None:
    """Until the scheduler has looked at every connection once: a new one is due at once."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        with db.reading() as session:
            waiting = session.execute(
                select(func.count()).where(col(Connection.next_wake_at) <= db.now(session))
            ).scalar_one()
        if not waiting:
            return
        time.sleep(0.2)
    raise SystemExit("The scheduler did not come to rest.")


if __name__ == "__main__":
    main()
