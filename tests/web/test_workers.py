"""What every door says of the workers: Health, /metrics, /readyz, the API and the terminal."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from core.delivery import dispatch, heartbeat, workers
from core.health import metrics, self_check
from core.platform.settings import settings
from core.storage import db
from core.storage.models import Heartbeat
from core.web import probes
from core.web.api import health as api
from tests.support import scenes
from tests.support.live import ROOT
from tests.support.terminal import Hub
from tests.support.visits import Visit, person, said, visit
from tests.support.wide import wide
from tests.support.workplace import Workplace, sandbox, workplace
from tests.web.test_api_server import samples

__all__ = ["sandbox", "visit", "wide", "workplace"]

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.parametrize("database", ["postgres"], indirect=True),
]
SENTENCE = "1 worker takes 16 runs at once; 3 run now"


@pytest.fixture
def working(wide: Workplace) -> Workplace:
    """One worker of 16 threads at three runs, and two connections whose runs wait."""
    for slug in ("splunk", "elastic"):
        wide.connect(slug, every="1h")
    wide.scans(1)
    assert dispatch.look(workers.work_queue().queue) == 2
    with db.session() as session:
        workers.beat(session, 16, 3, db.now(session))
        scenes.beat(session)
    return wide


def forget_all() -> None:
    with db.session() as session:
        workers.leave(session, db.now(session))
        scenes.beat(session)


def test_health_has_a_line_of_the_workers(working: Workplace, visit: Visit) -> None:
    drawn = visit(person("root@example.org", "admin"), "health")
    assert [
        line.value for line in drawn.caption if line.value.startswith(f"{SENTENCE}, 2 wait, the longest for ")
    ]
    assert "No worker runs" not in said(drawn)


def test_a_hub_without_workers_says_so_at_every_door(working: Workplace, visit: Visit) -> None:
    forget_all()
    drawn = visit(person("root@example.org", "admin"), "health")
    assert "No worker runs: nothing is sent" in [error.proto.title for error in drawn.error]
    assert [one.what for one in self_check.standing()] == [self_check.WORKERS]
    assert "`hub worker`" in self_check.standing()[0].sentence
    assert probes._checks()["workers"] == "none heard of"
    assert samples(metrics.Metrics())["hub_workers",] == 0


def test_the_figures_have_workers_queue_and_lag(working: Workplace) -> None:
    found = samples(metrics.Metrics())
    assert (found["hub_workers",], found["hub_worker_threads",], found["hub_worker_runs",]) == (1, 16, 3)
    assert found["hub_work_queue_length",] == 2
    assert 0 < found["hub_schedule_lag_seconds",] < 600
    assert probes._checks() == {"database": "ok", "scheduler": "ok", "disk": "ok", "keys": "ok"}
    words = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [name for (name, *_) in found if name.startswith("hub_work") and f"`{name}`" not in words] == []


def test_a_worker_that_is_silent_does_not_count(working: Workplace) -> None:
    with db.session() as session:
        silent = db.now(session) - timedelta(seconds=heartbeat.OLD_AFTER_S + 1)
        mine = col(Heartbeat.name).startswith("worker ")
        session.execute(update(Heartbeat).where(mine).values(beat_at=silent))
    assert samples(metrics.Metrics())["hub_workers",] == 0
    with db.session() as session:
        workers.forget(session, db.now(session) + workers.KEPT_FOR)
        assert session.execute(select(Heartbeat.name)).scalars().all() == ["scheduler"]


def test_the_terminal_and_the_api_say_the_same(working: Workplace, database: str, tmp_path: Path) -> None:
    answer = api.WorkersHealth.model_validate(_read())
    assert (answer.number, answer.threads, answer.running, answer.queued) == (1, 16, 3, 2)
    hub = Hub(tmp_path)
    hub.env |= {"HUB_DATABASE_URL": database, "HUB_EXECUTOR": "procrastinate"}
    hub.env["HUB_SECRET_KEY_FILE"] = str(settings().secret_key_file)
    assert f"{SENTENCE}, 2 wait, the longest for" in " ".join(hub.done("status").split())


def _read() -> workers.Workers | None:
    with db.reading() as session:
        return workers.read(session, db.now(session))
