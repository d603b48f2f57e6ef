"""A hub whose runs go through the work queue on PostgreSQL, with workers that are real processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.delivery import workers
from core.platform.settings import settings
from core.storage import db, due_times
from tests.support.workplace import Workplace

ROOT = Path(__file__).parents[2]


@pytest.fixture
def wide(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    """A workplace for whose records this process queues runs; on PostgreSQL only."""
    monkeypatch.setenv("HUB_EXECUTOR", "procrastinate")
    settings.cache_clear()
    workers.work_queue().install()
    workers.attend()
    yield workplace
    due_times._queues.clear()


@contextmanager
def process(log: Path, threads: int = 0, slice_s: float | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """`hub worker --threads N` (or, without threads, `hub scheduler`) as it is after its checks; killed at the end.

    With `slice_s` a run has so many seconds while others wait.
    """
    sliced = "" if slice_s is None else f"schedule.SLICE_S = {slice_s};"
    code = f"import scheduler; from core.delivery import schedule; {sliced} raise SystemExit(scheduler.main({threads}))"
    command = [sys.executable, "-c", code]
    with log.open("ab") as said:
        started = subprocess.Popen(
            command, stderr=said, cwd=log.parent, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        try:
            yield started
        except BaseException:
            print(log.read_text()[-8000:])  # pytest shows it where the test fails
            raise
        finally:
            started.kill()
            started.wait()


def who_works() -> workers.Workers:
    with db.reading() as session:
        found = workers.read(session, db.now(session))
    assert found is not None
    return found
