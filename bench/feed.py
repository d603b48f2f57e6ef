"""Records of a measurement, and what the hub makes of them: so that each peer is given the same bytes to send."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import sink
from core import connections
from core.access import LOCAL
from core.records import intake
from core.storage.models import Kind

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
SAMPLE = 999_999_999  # the number of the record whose request is the pattern for all


def scans(count: int, owner: str) -> Iterator[dict[str, Any]]:
    """Completed scans that a SIEM wants, as FootprintIQ writes them."""
    with (SAMPLES / "scans.ndjson").open(encoding="utf-8") as lines:
        one = json.loads(lines.readline())
    wanted = {"user_id": owner, "high_risk_count": 9, "status": "completed"}
    return (one | wanted | {"id": sink.name(number)} for number in range(count))


def alerts(count: int, owner: str) -> Iterator[dict[str, Any]]:
    with (SAMPLES / "alerts.csv").open(encoding="utf-8", newline="") as lines:
        one = next(csv.DictReader(lines))
    wanted = {
        "user_id": owner,
        "is_read": False,
        "is_resolved": False,
        "metadata": json.loads(one["metadata"]),
    }
    return (one | wanted | {"id": sink.name(number)} for number in range(count))


def write(path: Path, records: Iterator[dict[str, Any]]) -> Path:
    """One record a line."""
    with path.open("w", encoding="utf-8") as out:
        out.writelines(f"{json.dumps(record)}\n" for record in records)
    return path


def pattern(kind: Kind, record: dict[str, Any], ref: str) -> str:
    """The body of the request that the connection `ref` would send for one record."""
    intake.store(LOCAL, kind, [record | {"id": sink.name(SAMPLE)}])
    (request,) = connections.preview(LOCAL, ref, 1)
    return request.body


def bodies(pattern: str, count: int) -> Iterator[str]:
    """That body for each of so many records."""
    return (pattern.replace(sink.name(SAMPLE), sink.name(number)) for number in range(count))
