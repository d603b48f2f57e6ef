"""What goes on arriving in a demo: a scan, an alert or a case every now and then, made of the samples."""

import csv
import random
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson
import structlog

from core.cli.demo import SAMPLES
from core.platform.errors import HubError

EVERY_S = 20.0
#: in turns: mostly scans and alerts, a case now and then
KINDS = ("scan", "alert", "scan", "alert", "scan", "case")

log = structlog.get_logger("hub.demo")


def start(stop: threading.Event) -> None:
    """Begin in a thread of its own, until `stop`."""
    threading.Thread(target=feed, args=(stop,), name="demo-feed", daemon=True).start()


def feed(stop: threading.Event, every_s: float = EVERY_S) -> None:
    """Store one record each `every_s`; what cannot be stored now is left out."""
    turn = 0
    while not stop.wait(every_s):
        try:
            arrive(turn)
        except HubError as error:
            log.warning("nothing arrived", reason=error.message)
        turn += 1


def arrive(turn: int) -> None:
    """Store the record of one turn, new by its id and its time."""
    from core.access import LOCAL
    from core.records import intake
    from core.storage.models import Kind

    kind = Kind(KINDS[turn % len(KINDS)])
    sample = random.choice(_SAMPLES[kind]())
    now = datetime.now(UTC).isoformat()
    fresh = {"id": str(uuid.uuid4()), "created_at": now, "updated_at": now}
    intake.store(LOCAL, kind, [{**sample, **fresh, **_DUE[kind]}])


@cache
def _scans() -> list[Mapping[str, Any]]:
    return [orjson.loads(line) for line in (SAMPLES / "scans.ndjson").read_bytes().splitlines() if line]


@cache
def _cases() -> list[Mapping[str, Any]]:
    cases: list[Mapping[str, Any]] = orjson.loads((SAMPLES / "cases.json").read_bytes())
    return cases


@cache
def _alerts() -> list[Mapping[str, Any]]:
    with (SAMPLES / "alerts.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


_SAMPLES: dict[str, Callable[[], list[Mapping[str, Any]]]] = {
    "scan": _scans,
    "case": _cases,
    "alert": _alerts,
}
#: what makes a record one that goes out
_DUE: dict[str, dict[str, Any]] = {
    "scan": {"status": "completed", "high_risk_count": 7, "completed_at": None},
    "case": {"status": "open", "closed_at": None},
    "alert": {"is_read": False, "is_resolved": False},
}
