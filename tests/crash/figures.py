"""The figures of a run, written into docs/reliability.md by the command that measured them."""

import re
from pathlib import Path

from tests.crash.plan import Report


def row(label: str, report: Report) -> str:
    """A line of the table: kills, stops, passings of each place, deliveries, in doubt, further copies, broken."""
    cells = (
        *(report.kills, report.stops),
        f"{min(report.at.values(), default=0)} or more",
        *(report.delivered, report.in_doubt, report.duplicates, len(report.broken)),
    )
    shown = (f"{cell:,}" if isinstance(cell, int) else cell for cell in cells)
    return f"| {label} | {' | '.join(shown)} |"


def write(page: Path, label: str, report: Report) -> None:
    """Replace the line of `label`, which must be there."""
    line = re.compile(rf"^\| {re.escape(label)} \|.*$", re.MULTILINE)
    text, found = line.subn(row(label, report).replace("\\", "\\\\"), page.read_text(encoding="utf-8"))
    assert found == 1, f"{page} has {found} lines of {label}"
    page.write_text(text, encoding="utf-8")
