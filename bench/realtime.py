"""How long a record takes from being accepted to being at the vendor, with `realtime` on.

    .venv/bin/python -m bench.realtime [--records 100]

A real scheduler process, a sandbox Splunk (no rate limit), scans stored one at a time at random moments.
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import hubs
from core import access, connections
from core.records import intake
from core.storage.models import Kind
from sandbox import Sandbox

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100)
    count = parser.parse_args().records
    with tempfile.TemporaryDirectory() as folder, Sandbox() as sandbox:
        email = hubs.new(Path(folder))
        connections.create(
            access.LOCAL,
            "splunk",
            name="Realtime",
            values=sandbox.credentials("splunk"),
            options={"realtime": True, "every": "1h"},
        )
        with scheduler():
            print(report(measure(sandbox, email, count)))


@contextmanager
def scheduler() -> Iterator[int]:
    """A scheduler process of its own, with this one's settings; its id."""
    process = subprocess.Popen([sys.executable, str(ROOT / "scheduler.py")], stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def measure(sandbox: Sandbox, email: str, count: int) -> list[float]:
    """Seconds from the commit of each record to its arrival."""
    stored: dict[str, float] = {}
    for number in range(count + 3):
        record = {"id": str(uuid.uuid4()), "user_id": email, "high_risk_count": 9, "status": "completed"}
        intake.store(access.LOCAL, Kind.SCAN, [record])
        if number >= 3:  # the first ones wait for the scheduler to start
            stored[record["id"]] = time.time()
        time.sleep(random.uniform(0.1, 0.7))
    deadline = time.monotonic() + 60
    arrived: dict[str, float] = {}
    while len(arrived) < count and time.monotonic() < deadline:
        time.sleep(0.2)
        for accepted in sandbox.accepted("splunk"):
            found = next((id for id in stored if id in accepted.key), None)
            if found:
                arrived[found] = accepted.at
    return [arrived[id] - at for id, at in stored.items()]


def report(waits: list[float]) -> str:
    cuts = statistics.quantiles(waits, n=20)
    figures = f"p50 {cuts[9]:.2f} s, p95 {cuts[18]:.2f} s, max {max(waits):.2f} s"
    return f"{len(waits)} records, stored → at the vendor: {figures}"


if __name__ == "__main__":
    main()
