"""`hub sync`, `hub logs`, `hub deliveries`: what connections do and did."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli import child_processes, completion
from core.cli.connections import Refs
from core.cli.operator import operator
from core.cli.output import (
    Json,
    print_json,
    print_table,
    printable,
    say,
    say_error,
    say_line,
    whole_number,
)
from core.cli.try_out import left_out
from core.platform import durations
from core.platform.errors import HubError, Invalid, did_you_mean

if TYPE_CHECKING:
    from core.access import Principal
    from core.delivery.history.views import RunView

#: also the most that is asked for at once
MOST = 500
#: runs that `--status` looks through, the newest first
LOOKED_AT = 20 * MOST
FOLLOW_S = 1.0
Limit = Annotated[
    int,
    typer.Option(parser=whole_number(1, MOST), metavar="N", help="How many at most, newest first."),
]
MaybeRef = Annotated[
    str | None,
    typer.Argument(
        metavar="[C]",
        help="Only this connection, by id or name.",
        autocompletion=completion.connections,
    ),
]


def register(app: typer.Typer) -> None:
    app.command("sync")(sync)
    app.command("logs")(logs)
    app.command("deliveries")(deliveries)


def sync(
    refs: Refs,
    all_: Annotated[
        bool, typer.Option("--all", help="All that waits, not only what one sync takes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run one sync of each connection now. Exit 1 when one of them failed."""
    who = operator(opens_secrets=True)
    results = {ref: _sync_one(who, ref, all_) for ref in refs}
    if as_json:
        print_json([{"connection": ref, **result} for ref, result in results.items()])
    else:
        for ref, result in results.items():
            line = printable(f"{'✓' if result['success'] else '✗'} {ref}: {result['message']}")
            say(line) if result["success"] else say_error(line)
    if not all(result["success"] for result in results.values()):
        raise typer.Exit(1)


def _sync_one(who: Any, ref: str, drain: bool) -> dict[str, Any]:
    """The result object of the API; a refused start looks like a failed run, so that the others go on."""
    from core import connections
    from core.delivery import sync as flow

    try:
        connection_id = connections.find(who, ref).id
        with child_processes.stopping() as stop:
            return asdict(flow.run(connection_id, "manual", who=who, stopping=stop.is_set, drain=drain))
    except HubError as error:
        return {"success": False, "count": 0, "message": error.message, "metadata": {"code": error.code}}


def logs(
    ref: MaybeRef = None,
    status: Annotated[str | None, typer.Option(help="Only runs that ended so: failed, partial, …")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with each run that ends, until Ctrl-C.")
    ] = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Runs that did or found something."""
    who = operator()
    _check_status(status)
    if follow:
        return _follow(Followed(who, ref, status, limit), as_json=as_json)
    rows = list(islice(_runs(who, ref, status), limit))
    if as_json:
        return print_json([asdict(row) for row in rows])
    print_table(
        ("When", "Connection", "Asked by", "Status", "Records", "What went wrong"),
        [
            (
                *(r.started_at, r.connection, r.action, r.status),
                *(r.records, r.error or ""),
            )
            for r in rows
        ],
        empty=f"No run of the newest {LOOKED_AT:,} ended as {status}."
        if status
        else "No runs yet. Start one with `hub sync C`, or the clock with `hub up`.",
    )


def _check_status(status: str | None) -> None:
    from core.storage.models import RunStatus

    if status is not None and status not in set(RunStatus):
        hint = did_you_mean(status, RunStatus)
        raise Invalid(f'"{status}" is not a status of runs.{hint} There are {", ".join(RunStatus)}.')


def _runs(
    who: "Principal", ref: str | None, status: str | None, *, at_once: int = MOST, down_to: int = 0
) -> "Iterator[RunView]":
    """The newest first, asked for page by page; of LOOKED_AT at most, down to the id `down_to`."""
    from core.delivery import history

    before = None
    for _ in range(max(1, LOOKED_AT // at_once)):
        page = history.logs(who, ref, limit=at_once, before=before)
        for run in page:
            if run.id < down_to:
                return
            if status in (None, run.status):
                yield run
        if len(page) < at_once:
            return
        before = page[-1].id


class Followed:
    """Runs as they end, each once. The newest `first` that have ended come with the first look."""

    def __init__(self, who: "Principal", ref: str | None, status: str | None, first: int = 50) -> None:
        self.who, self.ref, self.status, self.first = who, ref, status, first
        self.low = 0  # every run below it has ended and was shown
        self.shown: set[int] = set()

    def new(self) -> "list[RunView]":
        """The oldest first."""
        from core.storage.models import RunStatus

        if self.low:
            found = list(_runs(self.who, self.ref, None, at_once=self.first, down_to=self.low))
        else:
            found = list(islice(_runs(self.who, self.ref, None, at_once=self.first), self.first))
        going = [run.id for run in found if run.status == RunStatus.RUNNING]
        ended = [run for run in found if run.status != RunStatus.RUNNING and run.id not in self.shown]
        self.low = min([*going, max([self.low, *(run.id + 1 for run in found)])]) or 1
        self.shown = {id for id in self.shown | {run.id for run in ended} if id >= self.low}
        return [run for run in reversed(ended) if self.status in (None, run.status)]


def _follow(followed: Followed, *, as_json: bool) -> None:
    with child_processes.stopping() as stop:
        while not stop.is_set():
            for run in followed.new():
                say_line(asdict(run)) if as_json else say(printable(_line(run)))
            stop.wait(FOLLOW_S)


def _line(run: "RunView") -> str:
    ended = run.finished_at or run.started_at
    return f"{ended:%Y-%m-%d %H:%M:%S}  {run.connection}  {run.status}  {run.records:,}  {run.error or ''}".rstrip()


def deliveries(
    ref: MaybeRef = None,
    state: Annotated[str | None, typer.Option(help="Only this state: dead, retrying, in_doubt, …")] = None,
    since: Annotated[
        str | None, typer.Option(help="Queued since: 2h, 3d, or a time like 2026-11-22T08:00Z.")
    ] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Records on their way, or arrived: one line per record and connection. `hub explain` tells more."""
    from core.delivery import history

    rows = history.listing(operator(), ref, state=state, since=_moment(since), limit=limit)
    if as_json:
        return print_json([asdict(row) for row in rows])
    print_table(
        ("Id", "Connection", "Record", "State", "Tries", "Vendor's id", "Delivered", "Next try", "Why"),
        [
            (
                *(
                    r.id,
                    r.connection,
                    f"{r.kind} {r.record_id or r.id}",
                    r.state,
                    r.attempt_count,
                ),
                *(r.vendor_id, r.delivered_at, r.next_attempt_at, r.reason or ""),
            )
            for r in rows
        ],
        empty=_no_deliveries(ref, state, since),
    )


def _moment(since: str | None) -> datetime | None:
    """`2h` is so long ago; anything else is read as a time. Raises Invalid."""
    from core.delivery.history import replay_filter

    seconds = None if since is None or since.isdigit() else durations.parse(since)
    if seconds is None:
        return replay_filter.moment("since", since)
    return datetime.now(UTC) - timedelta(seconds=seconds)


def _no_deliveries(ref: str | None, state: str | None, since: str | None) -> str:
    """What to do next, and the connections that leave out what was imported."""
    from core import connections

    if state is not None or since is not None:
        which = f" are {state}" if state else " were queued"
        return f"No deliveries{which}{f' since {since}' if since else ''}."
    who = operator()
    views = [connections.find(who, ref)] if ref else connections.list_views(who)
    others = [f"{view.name}: {words}" for view in views if (words := left_out(view.id))]
    return "\n".join(["No deliveries. Import records with `hub import`, then `hub sync C`.", *others])
