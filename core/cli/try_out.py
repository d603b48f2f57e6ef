"""`hub test` and `hub preview`: try a connection without sending a record."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from core.cli import completion
from core.cli.operator import operator
from core.cli.output import Json, counted, print_json, printable, say, whole_number

if TYPE_CHECKING:
    from core.connections import PreviewRequest
    from core.integrations.base import Step

Ref = Annotated[
    str,
    typer.Argument(metavar="C", help="A connection's id or name.", autocompletion=completion.connections),
]
#: records that are counted for "3 of N"; beyond it is "more than"
COUNTED = 1_000
SIGNS = {True: "✓", False: "✗", None: "?"}
WARNING = "!"


def register(app: typer.Typer) -> None:
    app.command("test")(try_out)
    app.command("preview")(preview)


def try_out(ref: Ref, as_json: Json = False) -> None:
    """Test a connection in stages: network, TLS, credentials, target, permission."""
    from core import connections

    steps = connections.test(operator(opens_secrets=True), ref)
    if as_json:
        print_json([asdict(step) for step in steps])
    else:
        for step in steps:
            say(step_line(step))
    if any(step.ok is False for step in steps):
        raise typer.Exit(1)


def preview(
    ref: Ref,
    limit: Annotated[
        int,
        typer.Option(parser=whole_number(1, COUNTED), metavar="N", help="Show this many of the records."),
    ] = 3,
    as_json: Json = False,
) -> None:
    """The exact requests for the first 3 of N waiting records, secrets masked; sends and changes nothing."""
    from core import connections

    who = operator(opens_secrets=True)
    requests = connections.preview(who, ref, limit)
    print_requests(requests, as_json, left_out(ref) if not requests else "")
    if requests and not as_json:
        say(_share(_records(requests), connections.count_next(who, ref, COUNTED)))


def print_requests(requests: "Sequence[PreviewRequest]", as_json: bool, others: str = "") -> None:
    """Print requests as they would be sent; where there are none, also what is left out."""
    if as_json:
        return print_json([asdict(request) for request in requests])
    if not requests:
        say(f"Nothing would be sent: no record waits that this connection wants. {others}".strip())
    for request in requests:
        _print_request(request)


def left_out(ref: str) -> str:
    """Why a connection may have nothing to send although records were imported, or nothing."""
    from core import connections

    return connections.left_out(operator(), ref).sentence


def _records(requests: "Sequence[PreviewRequest]") -> int:
    return len({key for request in requests for key in request.keys})


def _share(shown: int, found: int) -> str:
    more = "more than " * (found >= COUNTED)
    hint = " See more of them with --limit." if shown < found else ""
    return f"{shown:,} of {more}{counted(found, 'record', 'records')} that would be sent.{hint}"


def step_line(step: "Step") -> str:
    return printable(f"{WARNING if step.warning else SIGNS[step.ok]} {step.name:<12} {step.text}")


def _print_request(request: "PreviewRequest") -> None:
    say(printable(f"{request.method} {request.url}"))
    for name, value in request.headers.items():
        say(printable(f"{name}: {value}"))
    say(f"\n{printable(_pretty(request.body))}\n")


def _pretty(body: str) -> str:
    import orjson

    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return body  # several JSON documents in a row (HEC, NDJSON), or no JSON: as it would be sent
