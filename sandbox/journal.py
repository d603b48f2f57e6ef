"""Keeps what the stand-ins accepted: in memory, and in a JSON Lines file if one is given."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO

from sandbox.contract import Accepted, Kept


class Arrivals:
    """Not thread-safe: SandboxState holds its lock around every call.

    The file gets one line per thing before the vendor's answer is sent, and is read back at the start, so
    what was answered is still there after the process was killed. It is not synced to the disk: it outlives
    the process, not the machine.
    """

    def __init__(self, journal: Path | None = None) -> None:
        self._all: list[Accepted] = []
        self._of: dict[str, list[Accepted]] = {}
        self._copies: Counter[tuple[str, str]] = Counter()
        self._journal: IO[str] | None = None
        if journal is not None:
            self._reload(journal)
            self._journal = journal.open("a", encoding="utf-8", buffering=1)

    def keep(self, vendor: str, kept: Kept, at: float) -> Accepted:
        accepted = Accepted(
            number=len(self._all) + 1,
            vendor=vendor,
            at=at,
            key=kept.key,
            copy=self._copies[vendor, kept.key] + 1,
            title=kept.title,
            severity=kept.severity,
            vendor_id=kept.vendor_id,
            mentions=kept.mentions,
            body=kept.body,
        )
        if self._journal is not None:
            self._journal.write(json.dumps(asdict(accepted)) + "\n")
        self._add(accepted)
        return accepted

    def of(self, vendor: str) -> Sequence[Accepted]:
        return self._of.get(vendor, ())

    def all(self) -> Sequence[Accepted]:
        return self._all

    def numbered(self, number: int) -> Accepted | None:
        return self._all[number - 1] if 0 < number <= len(self._all) else None

    def keys(self, vendor: str) -> int:
        """How many different things arrived."""
        return sum(1 for slug, _ in self._copies if slug == vendor)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _add(self, accepted: Accepted) -> None:
        self._all.append(accepted)
        self._of.setdefault(accepted.vendor, []).append(accepted)
        self._copies[accepted.vendor, accepted.key] += 1

    def _reload(self, journal: Path) -> None:
        journal.parent.mkdir(parents=True, exist_ok=True)
        if not journal.exists():
            return
        _cut_torn_line(journal)
        with journal.open(encoding="utf-8") as lines:
            for place, line in enumerate(lines, start=1):
                self._add(_parsed(line, journal, place))


def _parsed(line: str, journal: Path, place: int) -> Accepted:
    try:
        return Accepted(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"Line {place} of {journal} is not something the sandbox wrote. "
            "Give another file, or move this one away."
        ) from error


def _cut_torn_line(journal: Path) -> None:
    """A process killed while writing leaves a last line without its end; nobody got an answer for it."""
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(journal, whole)
