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
    from core.delivery.heartbeat import Scheduler
    from core.delivery.workers import Workers
    from core.health.self_check import Trouble
    from core.records.source import SourceState


@dataclass(frozen=True)
class Screen:
    """`lines` are the connections, who needs somebody first."""

    database: str
    url: str
    is_answering: bool
    scheduler: "Scheduler"
    workers: "Workers | None"
    source: "SourceState | None"
    trouble: "tuple[Trouble, ...]"
    lines: "tuple[ConnectionRow, ...]"

    @property
    def needs_you(self) -> "list[ConnectionRow]":
        return [line for line in self.lines if line.standing.needs_attention]

    @property
    def counts(self) -> dict[str, int]:
        """What waits, and what was not taken yet; what is held, and what is dead."""
        facts = [line.facts for line in self.lines]
        return {
            "waiting": sum(each.waiting for each in facts),
            "backlog": sum(each.backlog.number for each in facts),
            "held": sum(each.held for each in facts),
            "dead": sum(each.dead for each in facts),
        }


def register(app: typer.Typer) -> None:
    app.command("status")(status)


def status(as_json: Json = False) -> None:
    """What runs, what needs you, and what waits: one screen."""
    found = _look()
    print_json(_as_data(found)) if as_json else _tell(found)


def _look() -> Screen:
    from core import connections
    from core.delivery import workers
    from core.health import self_check
    from core.platform.settings import settings
    from core.records import source
    from core.storage import db

    who = operator()
    board, chosen = connections.board(who), settings()
    with db.reading() as session:
        found = workers.read(session, db.now(session))
    return Screen(
        database=db.engine().url.render_as_string(hide_password=True),
        url=chosen.public_url,
        is_answering=child_processes.answers(chosen.host, chosen.port, "/healthz"),
        scheduler=board.scheduler,
        workers=found,
        source=source.state(),
        trouble=self_check.standing(),
        lines=board.lines,
    )


def _tell(found: Screen) -> None:
    source = found.source
    print_pairs(
        [
            ("Database", found.database),
            ("Dashboard", f"{'answers' if found.is_answering else 'does not answer'} at {found.url}"),
            ("Scheduler", _scheduler(found.scheduler)),
            ("Workers", found.workers.sentence if found.workers else None),
            ("Source", source.sentence if source and not source.error else None),
            ("Connections", _standings(found)),
            ("Records", _records(found)),
        ]
    )
    rows = [("The hub", one.title, one.sentence) for one in found.trouble]
    if found.scheduler.is_silent:
        rows.append(("The hub", found.scheduler.sentence, "Nothing is sent until it runs. Start `hub up`."))
    rows += [(line.name, line.standing.word, line.standing.sentence) for line in found.needs_you]
    say()
    print_table(("Needs you", "How it stands", "Why, and what to do"), rows, empty="Nothing needs you.")


def _scheduler(scheduler: "Scheduler") -> str:
    said = scheduler.sentence.removeprefix("The scheduler ")
    if scheduler.is_silent or scheduler.age_s is None:
        return said
    return f"{said}; its last sign was {duration(scheduler.age_s)} ago"


def _standings(found: Screen) -> str:
    if not found.lines:
        return "none yet. See `hub catalog`, then `hub connect`."
    return ", ".join(f"{number:,} {word}" for word, number in _words(found).items())


def _words(found: Screen) -> dict[str, int]:
    return dict(Counter(str(line.standing.word) for line in found.lines))


def _records(found: Screen) -> str | None:
    words = {"waiting": "waiting", "backlog": "not taken yet", "held": "held for you", "dead": "dead"}
    return (
        ", ".join(f"{number:,} {words[what]}" for what, number in found.counts.items() if number)
        or "none waits"
    )


def _as_data(found: Screen) -> dict[str, Any]:
    source, scheduler = found.source, found.scheduler
    return {
        "database": found.database,
        "dashboard": {"url": found.url, "answers": found.is_answering},
        "scheduler": {"heartbeat_age_s": scheduler.age_s, "is_silent": scheduler.is_silent},
        "workers": asdict(found.workers) if found.workers else None,
        "source": asdict(source) | {"sentence": source.sentence} if source else None,
        "trouble": [asdict(one) for one in found.trouble],
        "connections": _words(found),
        **found.counts,
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
