"""What processes use: the time of the processor, and memory, of one and of all that it started."""

import os
from collections.abc import Iterator
from pathlib import Path


def tree(pid: int) -> Iterator[int]:
    """A process and all that it started, directly or not."""
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # it ended meanwhile
        return
    for child in children:
        yield from tree(int(child))


def cpu_s(pid: int) -> float:
    """What a process, those that it started, and those of them that ended have used, in seconds."""
    return sum(map(_own_cpu_s, tree(pid)))


def _own_cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> dict[int, float]:
    """The memory of a process and of each that it started, shared pages divided among those that share them."""
    return {each: _pss_mb(each) for each in tree(pid)}


def _pss_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
