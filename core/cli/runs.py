"""`hub sync`, `hub logs`, `hub deliveries`: what connections do and did."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from core.cli import child_processes
from core.cli.operator import operator
from core.cli.output import Json, print_json, print_table, printable, say, say_error
from core.cli.try_out import left_out
from core.platform.errors import HubError

Limit = Annotated[int, typer.Option(min=1, max=500, help="How many at most, newest first.")]
MaybeRef = Annotated[str | None, typer.Argument(metavar="[C]", help="Only this connection, by id or name.")]


def register(app: typer.Typer) -> None:
    app.command("sync")(sync)
    app.command("logs")(logs)
    app.command("deliveries")(deliveries)


def sync(
    refs: Annotated[list[str], typer.Argument(metavar="C…", help="Connections, by id or name.")],
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


def logs(ref: MaybeRef = None, limit: Limit = 50, as_json: Json = False) -> None:
    """Runs that did or found something."""
    from core.delivery import history

    rows = history.logs(operator(), ref, limit=limit)
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
        empty="No runs yet. Start one with `hub sync C`, or the clock with `hub up`.",
    )


def deliveries(
    ref: MaybeRef = None,
    state: Annotated[str | None, typer.Option(help="Only this state: dead, retrying, in_doubt, …")] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Records on their way, or arrived: one line per record and connection. `hub explain` tells more."""
    from core.delivery import history

    rows = history.listing(operator(), ref, state=state, limit=limit)
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
        empty=_no_deliveries(ref, state),
    )


def _no_deliveries(ref: str | None, state: str | None) -> str:
    """What to do next, and the connections that leave out what was imported."""
    from core import connections

    if state is not None:
        return f"No deliveries are {state}."
    who = operator()
    views = [connections.find(who, ref)] if ref else connections.list_views(who)
    others = [f"{view.name}: {words}" for view in views if (words := left_out(view.id))]
    return "\n".join(["No deliveries. Import records with `hub import`, then `hub sync C`.", *others])
