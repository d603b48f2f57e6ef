"""What the processes do: workers run what is due, a scheduler is the real one, producers hand records in."""

import os
import random
import signal
import time
import traceback
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog
from sqlalchemy import select
from sqlmodel import col

import scheduler
from core import connections, integrations
from core.access import Principal
from core.delivery import export, heartbeat, housekeeping, runs, send, sync, workers
from core.delivery.schedule import due as due_now
from core.integrations import credentials
from core.platform.errors import Conflict, NotFound
from core.platform.settings import settings
from core.records import intake
from core.storage import db
from core.storage.models import Connection, Kind, Role
from tests.crash import points
from tests.crash.clock import Clock
from tests.crash.keyed import offer_keyed
from tests.crash.mutants import MUTANTS

PER_BATCH = 2  # records of each kind
CREATED = "2026-11-20T10:00:00Z"
FIELDS: dict[Kind, dict[str, Any]] = {
    Kind.SCAN: {"high_risk_count": 7, "status": "completed", "severity": "high"},
    Kind.CASE: {"title": "Leaked", "status": "open", "priority": "high"},
    Kind.ALERT: {"title": "New exposure", "severity": "high", "alert_type": "new_exposure"},
}
#: the least severity that a filter asks for: nobody's, everybody's
NARROW, WIDE = "critical", "low"
Say = Callable[..., None]


@dataclass(frozen=True)
class Setup:
    """What all processes of a run share."""

    environment: dict[str, str]
    log: str
    owner: str  # whose records they are
    began: float
    speed: float
    mutant: str
    patient: bool  # the database may be away for a while: trouble is told and tried again


@dataclass(frozen=True)
class Order:
    """What one process is to do. With a `point` it is sent `signal` at the `nth` passing of it."""

    number: int
    role: str
    seed: int
    ahead_s: float = 0.0
    point: str | None = None
    nth: int = 1
    signal: int = signal.SIGKILL
    batches: list[int] = field(default_factory=list)


_shared: list[Setup] = []


def prepare(setup: Setup) -> None:
    """In the fork server: everything that is slow the first time, up to a look at what is due."""
    _shared.append(setup)
    os.environ.update(setup.environment)
    settings.cache_clear()
    export.HOLD_ABOVE = 1_000_000  # cases pile up between kills, and nobody is here to release them
    structlog.configure(logger_factory=structlog.PrintLoggerFactory())
    offer_keyed()
    integrations.manifests()
    credentials.ring()
    db.configure(settings().database_url)
    Clock(setup.began, setup.speed).install()
    MUTANTS[setup.mutant]()
    _label_calls()
    housekeeping.housekeep()
    _run_due(random.Random(0))
    if workers.are_used():
        workers.work_queue()
        workers.attend()
    db.engine().dispose()  # a connection is not shared with children; what was compiled is


def play(order: Order, say: Say) -> None:
    setup = _shared[0]
    Clock(setup.began, setup.speed, order.ahead_s).install()
    runs.WORKER = f"crash:{order.role}:{os.getpid()}:{order.number}"
    if order.point is not None:
        points.arm(order.point, order.nth, lambda: _meet(order, say))
    ROLES[order.role](order, say)


def _meet(order: Order, say: Say) -> None:
    say(at=order.point)
    os.kill(os.getpid(), order.signal)


def work(order: Order, say: Say) -> None:
    dice = random.Random(order.seed)

    def step() -> None:
        _run_due(dice)
        housekeeping.housekeep()

    while True:
        _patiently(step, say)
        time.sleep(0.005)


def _patiently(step: Callable[[], None], say: Say) -> bool:
    """Whether it went well. Where the database may be away, trouble is told and the step tried again."""
    try:
        step()
    except Exception:
        if not _shared[0].patient:
            raise
        say(trouble=traceback.format_exc()[-300:])
        time.sleep(0.1)
        return False
    return True


def _run_due(dice: random.Random) -> None:
    due = due_now(10, 10)
    dice.shuffle(due)
    for each in due:
        try:
            asked = dice.random() < 0.05  # a person presses Sync
            sync.run(each.id, "manual" if asked else "scheduled", only_due=not asked)
        except (Conflict, NotFound):
            continue  # another worker was faster


def edit(order: Order, say: Say) -> None:
    """Somebody narrows filters until nothing waits any more, and widens them again."""
    dice, who = random.Random(order.seed), Principal(_shared[0].owner, "ana@example.org", Role.MEMBER)
    every: list[str] = []
    while not _patiently(lambda: every.extend(_connections()), say):
        pass
    while True:
        least = dice.choice((NARROW, WIDE, WIDE))
        _patiently(partial(set_filter, who, dice.choice(every), least), say)
        time.sleep(dice.uniform(0.02, 0.2))


def _connections() -> list[str]:
    with db.reading() as session:
        return list(session.execute(select(col(Connection.id))).scalars())


def set_filter(who: Principal, connection_id: str, least: str) -> None:
    connections.edit(who, connection_id, options={"min_severity": least})


def schedule(order: Order, say: Say) -> None:
    """The scheduler as it is, only faster."""
    speed = _shared[0].speed
    scheduler.LOOK_S, scheduler.SOONEST_S = 0.02, 0.005
    scheduler.BEAT_S, scheduler.HOUSEKEEP_S = scheduler.BEAT_S / speed, scheduler.HOUSEKEEP_S / speed
    clock = scheduler.Clock(threads=4)
    clock.start()
    while True:
        time.sleep(1)


def work_off_queue(order: Order, say: Say) -> None:
    """`hub worker` as it is, only that it says more often that it lives."""
    heartbeat.BEAT_S = heartbeat.BEAT_S / _shared[0].speed
    workers.work_queue().work(4, 25)


def drain(order: Order, say: Say) -> None:
    """Each connection once, for a while: nobody else is at work."""
    housekeeping.housekeep()
    every = _connections()
    for connection_id in every:
        sync.run(connection_id, "manual", deadline_s=5)


def produce(order: Order, say: Say) -> None:
    """Store each batch and promise it; then hand in again what was stored long ago."""

    def store(batch: int, kinds: Iterable[Kind]) -> None:
        for kind in kinds:
            intake.store(who, kind, batch_of(kind, batch, who.user_id))

    who = Principal(_shared[0].owner, "ana@example.org", Role.MEMBER)
    for batch in order.batches:
        while not _patiently(partial(store, batch, Kind), say):
            continue
        say(promised=batch)
        time.sleep(0.01)
    while True:
        _patiently(partial(store, 0, [Kind.SCAN]), say)
        time.sleep(0.05)


def batch_of(kind: Kind, batch: int, owner: str) -> list[dict[str, Any]]:
    return [{"id": id, "user_id": owner, "created_at": CREATED} | FIELDS[kind] for id in ids_of(kind, batch)]


def ids_of(kind: Kind, batch: int) -> list[str]:
    return [str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}-{batch}-{place}")) for place in range(PER_BATCH)]


def _label_calls() -> None:
    """Each request says which attempt it belongs to, so that what a vendor holds can be traced back."""
    real = send.send

    def label(call: send.Send) -> None:
        call.live.client.headers["X-Attempt"] = str(call.claim.attempt_id)
        real(call)

    send.send = label


ROLES: dict[str, Callable[[Order, Say], None]] = {
    "worker": work,
    "scheduler": schedule,
    "hub worker": work_off_queue,
    "producer": produce,
    "editor": edit,
    "drainer": drain,
}
