"""`hub status`: one screen. What runs, how the source is read, what needs you, and what waits."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import typer

from core.cli import child_processes
from core.cli.operator import operator
from core.cli.output import Json, print_json, print_pairs, print_table, say
from core.platform.durations import duration

if TYPE_CHECKING:
    from core.connections import ConnectionRow
    from core.health.self_check import Trouble
    from core.records.source import SourceState


@dataclass(frozen=True)
class Screen:
    """`lines` are the connections, who needs somebody first; `heartbeat_age_s` is the scheduler's, None: never."""

    database: str
    url: str
    is_answering: bool
    heartbeat_age_s: float | None
    source: "SourceState | None"
    trouble: "tuple[Trouble, ...]"
    lines: "tuple[ConnectionRow, ...]"

    @property
    def needs_you(self) -> "list[ConnectionRow]":
        return [line for line in self.lines if line.standing.needs_attention]

    def count(self, what: str) -> int:
        return sum(getattr(line, what) for line in self.lines)


def register(app: typer.Typer) -> None:
    app.command("status")(status)


def status(as_json: Json = False) -> None:
    """What runs, what needs you, and what waits: one screen."""
    found = _look()
    print_json(_as_data(found)) if as_json else _tell(found)


def _look() -> Screen:
    from core import connections
    from core.health import self_check
    from core.platform.settings import settings
    from core.records import source
    from core.storage import db

    who = operator()
    board, chosen = connections.board(who), settings()
    return Screen(
        database=db.engine().url.render_as_string(hide_password=True),
        url=chosen.public_url,
        is_answering=child_processes.answers(chosen.host, chosen.port, "/healthz"),
        heartbeat_age_s=board.heartbeat_age_s,
        source=source.state(),
        trouble=self_check.standing(),
        lines=board.lines,
    )


def _tell(found: Screen) -> None:
    from core.delivery.heartbeat import is_silent

    source = found.source
    print_pairs(
        [
            ("Database", found.database),
            ("Dashboard", f"{'answers' if found.is_answering else 'does not answer'} at {found.url}"),
            ("Scheduler", _scheduler(found.heartbeat_age_s)),
            ("Source", source.sentence if source and not source.error else None),
            ("Connections", _standings(found)),
            ("Records", _records(found)),
        ]
    )
    rows = [("The hub", one.title, one.sentence) for one in found.trouble]
    if is_silent(found.heartbeat_age_s):
        rows.append(
            ("The hub", "The scheduler does not run", "Nothing is sent until it does. Start `hub up`.")
        )
    rows += [(line.name, line.standing.word, line.standing.sentence) for line in found.needs_you]
    say()
    print_table(("Needs you", "How it stands", "Why, and what to do"), rows, empty="Nothing needs you.")


def _scheduler(age_s: float | None) -> str:
    from core.delivery.heartbeat import is_silent

    if age_s is None:
        return "has not run yet"
    if is_silent(age_s):
        return f"has been silent for {duration(age_s)}"
    return f"runs; its last sign was {duration(age_s)} ago"


def _standings(found: Screen) -> str:
    if not found.lines:
        return "none yet. See `hub catalog`, then `hub connect`."
    return ", ".join(f"{number:,} {word}" for word, number in _words(found).items())


def _words(found: Screen) -> dict[str, int]:
    return dict(Counter(str(line.standing.word) for line in found.lines))


def _records(found: Screen) -> str | None:
    counts = [
        (found.count("waiting"), "waiting"),
        (found.count("held"), "held for you"),
        (found.count("dead"), "dead"),
    ]
    return ", ".join(f"{number:,} {word}" for number, word in counts if number) or "none waits"


def _as_data(found: Screen) -> dict[str, Any]:
    from core.delivery.heartbeat import is_silent

    source, age_s = found.source, found.heartbeat_age_s
    return {
        "database": found.database,
        "dashboard": {"url": found.url, "answers": found.is_answering},
        "scheduler": {"heartbeat_age_s": age_s, "is_silent": is_silent(age_s)},
        "source": asdict(source) | {"sentence": source.sentence} if source else None,
        "trouble": [asdict(one) for one in found.trouble],
        "connections": _words(found),
        **{what: found.count(what) for what in ("waiting", "held", "dead")},
        "needs_you": [
            {
                "id": line.id,
                "name": line.name,
                "state": line.standing.word,
                "sentence": line.standing.sentence,
            }
            for line in found.needs_you
        ],
    }
