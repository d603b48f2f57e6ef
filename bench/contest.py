"""The hub beside others that do the same: in turns, several rounds, and what arrived is counted by the receiver.

Each figure of a contest is records a second; the median of the rounds, with the least and the most. How many times as
fast the hub is as another is the median of the rounds' own ratios: what else this machine did falls on both alike.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import peers
from bench.processes import cpu_s
from bench.sink import Sink
from bench.table import Line

HUB = "the hub"


@dataclass(frozen=True)
class Sample:
    """One contender's one round."""

    per_s: float
    cpu_s: float  # for 100,000
    problem: str = ""


@dataclass(frozen=True)
class Contender:
    name: str
    run: Callable[[Any], Sample]
    missing: str = ""  # why it does not take part
    keeps: str = ""  # what it keeps of a record, where that is not what the hub keeps


@dataclass(frozen=True)
class Round:
    """What everybody is given: the sink, and as many records; what to send of them stands in `file`, one a line."""

    sink: Sink
    flow: str
    count: int
    file: Path
    wait_ms: int


def flow(
    figure: str, name: str, count: int, contenders: Sequence[Contender], *, rounds: int, wait_ms: int = 0
) -> list[Line]:
    """Send `count` records of a flow of `bench.ours` by each contender, in turns."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder, Sink() as sink:
        file = Path(folder, "bodies")
        _python("bench.ours", "bodies", name, count, file)
        given = Round(sink, name, count, file, wait_ms)
        taking_part = [each for each in contenders if not each.missing]
        found = [{each.name: _sample(each, given) for each in taking_part} for _ in range(rounds)]
    return lines(f"{figure}, records/s", contenders, found)


def intake(figure: str, name: str, count: int, *, rounds: int) -> list[Line]:
    """Take `count` records in by one way of `bench.ours`, and put them into a bare table, in turns."""
    contenders = [
        Contender(HUB, lambda _: _taken(name, count)),
        Contender("the limit: a bare table", lambda _: _taken("insert", count), keeps="the line as it came"),
    ]
    found = [{each.name: each.run(None) for each in contenders} for _ in range(rounds)]
    return lines(f"{figure}, records/s", contenders, found)


def _taken(name: str, count: int) -> Sample:
    spent = json.loads(_python("bench.ours", name, count))
    return _judged(count, spent["delivered"], spent["seconds"], spent["cpu_s"])


def _sample(contender: Contender, given: Round) -> Sample:
    given.sink.begin(given.wait_ms)
    return contender.run(given)


def lines(figure: str, contenders: Sequence[Contender], found: Sequence[dict[str, Sample]]) -> list[Line]:
    """The table's lines: the hub's first."""
    return [_line(figure if each.name == HUB else "", each, found) for each in contenders]


def _line(figure: str, contender: Contender, found: Sequence[dict[str, Sample]]) -> Line:
    who = f"{contender.name} ({contender.keeps})" if contender.keeps else contender.name
    if contender.missing:
        return Line(figure, who, contender.missing)
    samples = [one[contender.name] for one in found]
    if problem := next((one.problem for one in samples if one.problem), ""):
        return Line(figure, who, problem)
    speeds = [one.per_s for one in samples]
    times = statistics.median(one[HUB].per_s / one[contender.name].per_s for one in found)
    return Line(
        figure,
        who,
        f"{statistics.median(speeds):,.0f}",
        f"{min(speeds):,.0f} to {max(speeds):,.0f}" if len(speeds) > 1 else "one round",
        _short(statistics.median(one.cpu_s for one in samples)),
        "" if contender.name == HUB else f"{times:.2g} ×",
    )


def _short(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.3g}"


# --- who takes part -------------------------------------------------------------------------------


def hub() -> Contender:
    return Contender(HUB, lambda given: _spent(given, "bench.ours", given.flow, given.sink.port, given.count))


def peer(name: str, keeps: str, title: str = "") -> Contender:
    """One of `bench.peers`, by its name there."""
    missing = "" if name in peers.LIMITS or peers.is_installed(name) else peers.MISSING
    return Contender(
        title or name,
        lambda given: _spent(given, "bench.peers", name, given.sink.port, given.file),
        missing,
        keeps,
    )


def syslog_ng(keeps: str, batch: int) -> Contender:
    missing = "" if peers.is_installed("syslog-ng") else peers.MISSING
    return Contender("syslog-ng", lambda given: _by_syslog_ng(given, batch), missing, keeps)


def _by_syslog_ng(given: Round, batch: int) -> Sample:
    lines = given.file.read_bytes().splitlines()
    with peers.syslog_ng(given.sink.port, batch) as (listens, pid):
        began, cpu = time.perf_counter(), cpu_s(pid)
        peers.feed(listens, lines)
        arrived = given.sink.until(given.count)
        seconds, used_s = time.perf_counter() - began, cpu_s(pid) - cpu
    return _judged(given.count, arrived, seconds, used_s)


def _spent(given: Round, *command: object) -> Sample:
    spent = json.loads(_python(*command))
    arrived = given.sink.until(given.count, limit_s=5)
    said = spent.get("delivered", given.count)
    if said != given.count:
        return Sample(1, 0, f"says {said:,} of {given.count:,} delivered; {arrived:,} arrived")
    return _judged(given.count, arrived, spent["seconds"], spent["cpu_s"])


def _judged(count: int, arrived: int, seconds: float, used_s: float) -> Sample:
    problem = "" if arrived == count else f"{arrived:,} of {count:,} arrived"
    return Sample(count / seconds, used_s * 100_000 / count, problem)


def _python(module: object, *given: object) -> str:
    command = [sys.executable, "-m", str(module), *map(str, given)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
