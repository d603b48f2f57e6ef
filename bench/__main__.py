"""`hub bench`: every figure beside its peer and beside the limit, in one run, as a table.

python -m bench [ROW …] [--quick] [--rounds 3] [--write docs/performance.md]
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench import burst, clock, contest, health, start, table
from bench.table import Line

ROUNDS = 3
VENDOR_MS = 50


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    scans: int
    messages: int
    slow_messages: int
    taken: int
    rounds: int
    idle: tuple[int, ...]
    idle_s: int
    burst: int
    log_rows: tuple[int, int]


FULL = Size(
    scans=40_000,
    messages=1_500,
    slow_messages=300,
    taken=40_000,
    rounds=ROUNDS,
    idle=(10_000, 100_000),
    idle_s=60,
    burst=1_000,
    log_rows=(10_000, 1_000_000),
)
QUICK = Size(
    scans=5_000,
    messages=200,
    slow_messages=30,
    taken=5_000,
    rounds=1,
    idle=(1_000,),
    idle_s=8,
    burst=50,
    log_rows=(1_000, 10_000),
)


def siem(size: Size) -> list[Line]:
    """Scans to a SIEM in batches of 500: selected, queued, sent, closed, on the default SQLite."""
    contenders = [
        contest.hub(),
        contest.syslog_ng("reliable disk buffer; no row per record", batch=500),
        contest.peer("splunk-handler", "in memory"),
        contest.peer("raw", "nothing", "the limit: a socket and orjson"),
    ]
    return contest.flow("SIEM export", "siem", size.scans, contenders, rounds=size.rounds)


def messages(size: Size) -> list[Line]:
    """Alerts to a webhook, one request each."""
    contenders = [
        contest.hub(),
        contest.peer("apprise", "nothing", "Apprise"),
        contest.peer("httpx", "nothing", "the limit: one httpx client"),
    ]
    return contest.flow("One message per request", "messages", size.messages, contenders, rounds=size.rounds)


def slow(size: Size) -> list[Line]:
    """The same to a vendor that takes 50 ms."""
    contenders = [contest.hub(), contest.peer("httpx", "nothing", "one call at a time, httpx")]
    figure = f"One message per request, a vendor of {VENDOR_MS} ms"
    return contest.flow(
        figure, "messages", size.slow_messages, contenders, rounds=size.rounds, wait_ms=VENDOR_MS
    )


def ingest(size: Size) -> list[Line]:
    """Records in: a file, and arrays of 1,000 to the API, each on the disk before it is answered."""
    ways = {"Import of a file": "import", "POST in arrays of 1,000": "post"}
    return [
        line
        for figure, name in ways.items()
        for line in contest.intake(figure, name, size.taken, rounds=size.rounds)
    ]


def idle(size: Size) -> list[Line]:
    """Connections of one minute with nothing to send."""
    return [_idle(count, size.idle_s) for count in size.idle]


def _idle(count: int, seconds: int) -> Line:
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        found = clock.measure(f"sqlite:///{folder}/hub.db", Path(folder), count, seconds)
    lost = f"{found.looks.lost:,} of {found.looks.due:,} runs lost"
    lag = f"lag p50 {found.lag_s(50):.2f} s, p99 {found.lag_s(99):.2f} s"
    title = f"{count:,} idle connections at 60 s"
    return Line(title, contest.HUB, f"{lag}; {lost}; {found.percent:.1f} % of a core", f"{seconds} s")


def due(size: Size) -> list[Line]:
    """One record for each of many connections at once."""
    seconds, arrived = burst.measure(size.burst)
    title = f"{size.burst:,} connections with a record due for each"
    measured = (
        f"all delivered after {seconds:.1f} s" if arrived == size.burst else f"{arrived:,} delivered in time"
    )
    return [Line(title, contest.HUB, measured, "one round")]


def first(size: Size) -> list[Line]:
    """The start of the commands and of `hub up`, and its memory."""
    taken: dict[str, list[start.Took]] = defaultdict(list)
    for _ in range(size.rounds):
        with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
            start.fill(Path(folder))
            taken["python"].append(start.python())
            taken["help"].append(start.command("--help"))
            taken["connections"].append(start.command("connections"))
            taken["up"].append(start.up(start.IDLE_S))
    limit = _started("", "the limit: an empty Python", taken["python"])
    return [
        _started("Start: hub --help", contest.HUB, taken["help"]),
        replace(limit, times=f"{_cpu_s(taken['help']) / _cpu_s(taken['python']):.2g} × (CPU)"),
        _started(f"Start: hub connections, {start.CONNECTIONS} of them", contest.HUB, taken["connections"]),
        replace(limit, times=f"{_cpu_s(taken['connections']) / _cpu_s(taken['python']):.2g} × (CPU)"),
        _started("Start: hub up in an empty folder, to the first page", contest.HUB, taken["up"]),
        _taken(
            "Memory: hub up, idle, all processes", contest.HUB, [one.idle_mb for one in taken["up"]], "MB"
        ),
    ]


def _started(what: str, who: str, took: list[start.Took]) -> Line:
    line = _taken(what, who, [one.seconds for one in took], "s")
    return replace(line, measured=f"{line.measured}, {_cpu_s(took):.2f} s of it CPU")


def _cpu_s(took: list[start.Took]) -> float:
    return statistics.median(one.cpu_s for one in took)


def page(size: Size) -> list[Line]:
    """The data of the Health page beside a short log and a long one, 30 days of 50 connections."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        urls = {rows: health.built(Path(folder, f"{rows}.db"), rows) for rows in size.log_rows}
        found = health.read(urls, "30d", "first")
    return [
        _taken(f"Health, 30 days, {rows:,} log rows", contest.HUB, ms, "ms") for rows, ms in found.items()
    ]


def _taken(what: str, who: str, taken: list[float], unit: str) -> Line:
    digits = 2 if unit == "s" else 0
    low, high = min(taken), max(taken)
    spread = f"{low:,.{digits}f} to {high:,.{digits}f}" if len(taken) > 1 else "one round"
    return Line(what, who, f"{statistics.median(taken):,.{digits}f} {unit}", spread)


ROWS: dict[str, Callable[[Size], list[Line]]] = {
    "siem": siem,
    "messages": messages,
    "slow": slow,
    "ingest": ingest,
    "idle": idle,
    "due": due,
    "start": first,
    "health": page,
}

SLOW_TO_BUILD = ("health",)  # left out of the quick version, unless it is named


def main() -> None:
    parser = argparse.ArgumentParser(prog="hub bench", description="The benchmarks, as a table.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"only these: {', '.join(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="a minute, one round of less: ratios are rough")
    parser.add_argument("--rounds", type=int, help="rounds of each contest")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON instead of a table")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table into this document")
    given = parser.parse_args()
    if unknown := [name for name in given.rows if name not in ROWS]:
        parser.error(f"{unknown[0]} is no row; choose among {', '.join(ROWS)}.")
    size = QUICK if given.quick else FULL
    if given.rounds:
        size = replace(size, rounds=given.rounds)
    about, found = table.machine(), []
    shown = sys.stderr if given.as_json else sys.stdout
    print(about, file=shown, flush=True)
    for name in given.rows or [name for name in ROWS if not (given.quick and name in SLOW_TO_BUILD)]:
        some = ROWS[name](size)
        print(f"\n{table.text(some)}", file=shown, flush=True)
        found += some
    if given.as_json:
        print(json.dumps({"about": about, "lines": [asdict(line) for line in found]}))
    if given.write:
        table.write(given.write, about, found)


if __name__ == "__main__":
    main()
