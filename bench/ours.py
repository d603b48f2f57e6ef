"""The hub as one of those that send: a new one on SQLite, as it comes, in a process of its own.

python -m bench.ours siem|messages PORT COUNT       prints {"seconds": …, "cpu_s": …, "delivered": …}
python -m bench.ours import|post|insert COUNT       the same, of records in
python -m bench.ours bodies siem|messages COUNT FILE    what it would send, for the others
"""

import base64
import contextlib
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from bench import feed, hubs
from bench.processes import cpu_s
from core import access, connections
from core.access import LOCAL
from core.delivery import sync
from core.platform.settings import settings
from core.records import intake
from core.storage.models import Kind
from tests.support.live import served

ARRAY = 1_000  # as many as the API takes at once
TOKEN = "7c1f1f8a-6a0e-4a5e-9d0a-3c2f0e8b1d11"
WEBHOOK_SECRET = f"whsec_{base64.b64encode(bytes(32)).decode()}"
OPTIONS = {"every": "1h", "batch_limit": 500}


@dataclass(frozen=True)
class Flow:
    """Records of one kind into a tool of one kind."""

    kind: Kind
    records: Callable[[int, str], Iterator[dict[str, Any]]]
    slug: str
    values: Callable[[str], dict[str, Any]]


FLOWS = {
    "siem": Flow(Kind.SCAN, feed.scans, "splunk", lambda url: {"url": url, "token": TOKEN}),
    "messages": Flow(
        Kind.ALERT,
        feed.alerts,
        "webhook",
        lambda url: {"url": f"{url}/hook", "signing_secret": WEBHOOK_SECRET},
    ),
}


def main() -> None:
    what, *given = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as name:
        folder = Path(name)
        owner = hubs.new(folder)
        if what == "bodies":
            bodies(FLOWS[given[0]], owner, int(given[1]), Path(given[2]))
        elif what in INTAKES:
            print(json.dumps(INTAKES[what](owner, int(given[0]), folder)))
        else:
            print(json.dumps(send(FLOWS[what], owner, int(given[0]), int(given[1]), folder)))


def connect(flow: Flow, url: str) -> str:
    return connections.create(LOCAL, flow.slug, name="Bench", values=flow.values(url), options=OPTIONS)


def send(flow: Flow, owner: str, port: int, count: int, folder: Path) -> dict[str, float]:
    """From the first record selected to the last one closed."""
    done = intake.import_file(LOCAL, flow.kind, feed.write(folder / "in.ndjson", flow.records(count, owner)))
    assert done.new == count, f"{done.new} of {count} were taken"
    ref = connect(flow, f"http://127.0.0.1:{port}")
    with timed() as spent:
        result = sync.run(ref, "manual", drain=True, deadline_s=600)
    return spent | {"delivered": result.count}


def import_file(owner: str, count: int, folder: Path) -> dict[str, float]:
    """A file of scans, as `hub import` takes it."""
    file = feed.write(folder / "in.ndjson", feed.scans(count, owner))
    with timed() as spent:
        done = intake.import_file(LOCAL, Kind.SCAN, file)
    return spent | {"delivered": done.new}


def post(owner: str, count: int, folder: Path) -> dict[str, float]:
    """Scans in arrays of 1,000 to the API of a server; the sender's processor time is in it."""
    token = access.create_token(LOCAL, owner, "bench", None)
    records = list(feed.scans(count, owner))
    arrays = [json.dumps(records[start : start + ARRAY]).encode() for start in range(0, count, ARRAY)]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with (
        served(settings().database_url, folder, HUB_SECRET_KEY_FILE=f"{folder}/hub.key") as live,
        live.client() as client,
    ):
        client.get("/api/v1/scans", headers=headers).raise_for_status()
        with timed() as spent:
            for array in arrays:
                client.post("/api/v1/scans", content=array, headers=headers).raise_for_status()
    return spent | {"delivered": intake.count(LOCAL)[Kind.SCAN]}


def insert(owner: str, count: int, folder: Path) -> dict[str, float]:
    """The limit: each line read by orjson and put into a table as it is, 1,000 in a transaction on the disk."""
    file = feed.write(folder / "in.ndjson", feed.scans(count, owner))
    with contextlib.closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as bare:
        bare.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE scans (id TEXT UNIQUE, body BLOB);"
        )
        with timed() as spent, file.open("rb") as lines:
            while part := list(islice(lines, ARRAY)):
                bare.execute("BEGIN IMMEDIATE")
                bare.executemany(
                    "INSERT INTO scans VALUES (?, ?)", [(orjson.loads(line)["id"], line) for line in part]
                )
                bare.execute("COMMIT")
        (there,) = bare.execute("SELECT count(*) FROM scans").fetchone()
    return spent | {"delivered": there}


INTAKES = {"import": import_file, "post": post, "insert": insert}


def bodies(flow: Flow, owner: str, count: int, file: Path) -> None:
    ref = connect(flow, "http://127.0.0.1:9")
    pattern = feed.pattern(flow.kind, next(flow.records(1, owner)), ref)
    file.write_text("".join(f"{body}\n" for body in feed.bodies(pattern, count)), encoding="utf-8")


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """What the block took, in the dictionary afterwards; processor time with that of the processes it started."""
    spent: dict[str, float] = {}
    began, cpu = time.perf_counter(), cpu_s(os.getpid())
    yield spent
    spent |= {"seconds": time.perf_counter() - began, "cpu_s": cpu_s(os.getpid()) - cpu}


if __name__ == "__main__":
    main()
