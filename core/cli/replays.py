"""`hub replay` and `hub replays`: deliveries back in the queue, many at once; count first."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli import completion
from core.cli.operator import operator
from core.cli.output import Json, Yes, counted, print_json, print_table, printable, say, whole_number
from core.platform.errors import Invalid

if TYPE_CHECKING:
    from core.delivery.history import Plan
    from core.delivery.history.replay_plan import Share
    from core.delivery.history.replays import Progress

MaybeRef = Annotated[
    str | None,
    typer.Argument(metavar="[C]", help="A connection, by id or name.", autocompletion=completion.connections),
]
ReplayId = whole_number(1)


def register(app: typer.Typer) -> None:
    app.command("replay")(replay)
    app.command("replays")(replays)


def replay(
    ref: MaybeRef = None,
    every: Annotated[bool, typer.Option("--all", help="Of every connection, instead of C.")] = False,
    state: Annotated[str, typer.Option(help="dead, skipped or delivered.")] = "dead",
    kind: Annotated[str | None, typer.Option(help="Only scan, case or alert.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only those whose reason has these words.")] = None,
    since: Annotated[str | None, typer.Option(help="Queued then or later: 2026-11-22T08:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Queued before.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Yes, send what was delivered a second time.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count; change nothing.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Put deliveries back in the queue, under their own keys and with all attempts; a ticket never."""
    from core.delivery.history import ReplayFilter, plan
    from core.delivery.history import replays as verbs

    if (ref is None) is not every:
        raise typer.BadParameter("name one connection, or say --all.", param_hint="C")
    words = {"connection": ref, "state": state, "kind": kind, "reason": reason, "since": since}
    who, wanted = operator(), ReplayFilter.of(words | {"until": until})
    found = plan(who, wanted)
    if not as_json:
        _tell(found)
    if dry_run or found.is_empty:
        return print_json({"dry_run": dry_run, "plan": as_data(found), "replays": []}) if as_json else None
    if not (yes or as_json) and sys.stdin.isatty() and not typer.confirm("Put them back in the queue?"):
        raise Invalid("Nothing was replayed: everything stays as it is.")
    begun = verbs.begin(who, wanted, again=again)
    shown = [_data(progress) for progress in begun.replays]
    if as_json:
        return print_json({"dry_run": False, "plan": as_data(begun.plan), "replays": shown})
    for progress in begun.replays:
        say(printable(_line(progress)))


def replays(
    pause: Annotated[int | None, typer.Option(parser=ReplayId, metavar="ID", help="Pause this one.")] = None,
    resume: Annotated[
        int | None, typer.Option(parser=ReplayId, metavar="ID", help="Go on with this one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Replays and how far they are; pause one, or go on with it."""
    from core.delivery.history import replays as verbs

    who = operator()
    if pause is not None and resume is not None:
        raise typer.BadParameter("pause or resume, not both.", param_hint="--pause")
    if pause is not None:
        found = [verbs.pause(who, pause)]
    elif resume is not None:
        found = [verbs.resume(who, resume)]
    else:
        found = verbs.listing(who)
    if as_json:
        return print_json([_data(progress) for progress in found])
    print_table(
        ("Id", "Connection", "State", "In all", "Queued", "Left", "Left out", "Began", "By"),
        [
            (
                *(p.id, p.connection, p.state, p.total, p.queued, p.left, p.left_out),
                *(p.created_at, p.actor),
            )
            for p in found
        ],
        empty="No replays yet. `hub replay C --dry-run` counts what one would send.",
    )


def as_data(found: "Plan") -> dict[str, Any]:
    """As the API has it."""
    return {
        "state": found.state,
        "count": found.count,
        "oldest_at": found.oldest_at,
        "newest_at": found.newest_at,
        "duplicates": found.duplicates,
        "delivered": found.delivered,
        "in_doubt": found.in_doubt,
        "tickets": found.tickets,
        "without_body": found.without_body,
        "seconds": found.seconds,
        "more": found.more,
        "connections": [asdict(share) | {"duplicates": share.duplicates} for share in found.shares],
    }


def _tell(found: "Plan") -> None:
    print_table(
        ("Connection", "Deliveries", "Oldest", "Newest", "May be there", "Time"),
        [
            (
                *(printable(share.connection), _counted(share), share.oldest_at, share.newest_at),
                *(share.duplicates, _time(share.seconds)),
            )
            for share in found.shares
        ],
        empty=f"Nothing to replay: no delivery that fits is {found.state}.",
    )
    for line in found.warnings():
        say(line)


def _counted(share: "Share") -> str:
    from core.delivery.history.replay_plan import counted

    return counted(share.count, share.more)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return "under 1 min" if seconds < 60 else f"about {seconds / 60:,.0f} min"


def _line(progress: "Progress") -> str:
    queued = counted(progress.queued, "delivery is", "deliveries are")
    rest = f", {progress.left:,} follow as there is room" if progress.left else ""
    stay = f", {progress.left_out:,} still cannot be mapped and stay {progress.wanted['state']}"
    paused = "" if progress.is_active else " The connection is paused: enable it to send them."
    left_out = stay if progress.left_out else ""
    return (
        f"{progress.connection}: {queued} back in the queue{rest}{left_out} (replay {progress.id}).{paused}"
    )


def _data(progress: "Progress") -> dict[str, Any]:
    return asdict(progress) | {"left": progress.left}
