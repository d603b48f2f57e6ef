"""What is measured, as lines of one table: at a terminal, and in a document between two marks."""

import os
import platform
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

COLUMNS = ("what", "who", "measured", "spread", "CPU s per 100,000", "the hub is")
BEGIN, END = "<!-- hub bench: begin -->", "<!-- hub bench: end -->"


@dataclass(frozen=True)
class Line:
    """One line; `what` is empty where the line belongs to the one above."""

    what: str
    who: str
    measured: str
    spread: str = ""
    cpu_s: str = ""
    times: str = ""


def machine() -> str:
    """The machine and the time, for whoever reads the figures later."""
    cores = os.cpu_count() or 1
    name = next(
        (line.partition(":")[2].strip() for line in _read("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = next((int(line.split()[1]) for line in _read("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {cores} cores ({name}), {memory / 2**20:.0f} GB; "
        f"load {os.getloadavg()[0]:.1f} at the start; Python {platform.python_version()}, {platform.system()}"
    )


def _read(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def markdown(lines: Sequence[Line]) -> str:
    rows = [COLUMNS, ("---",) * len(COLUMNS), *map(astuple, lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write(page: Path, about: str, lines: Sequence[Line]) -> None:
    """Replace what stands between the marks, which must be there."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{page} has no place for the table: write {BEGIN} and {END} into it.")
    page.write_text(f"{before}{BEGIN}\n\n{about}\n\n{markdown(lines)}\n\n{END}{after}", encoding="utf-8")


def text(lines: Sequence[Line]) -> str:
    """For a terminal: in columns as wide as they need."""
    rows = [COLUMNS, *map(astuple, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
