"""`hub test` and `hub preview`: try a connection without sending a record."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from core.cli.operator import operator
from core.cli.output import Json, print_json, printable, say

if TYPE_CHECKING:
    from core.connections import PreviewRequest
    from core.connectors.base import Step

Ref = Annotated[str, typer.Argument(metavar="C", help="A connection's id or name.")]
SIGNS = {True: "✓", False: "✗", None: "?"}


def register(app: typer.Typer) -> None:
    app.command("test")(try_out)
    app.command("preview")(preview)


def try_out(ref: Ref, as_json: Json = False) -> None:
    """Test a connection in stages: network, TLS, credentials, target, permission."""
    from core import connections

    steps = connections.test(operator(), ref)
    if as_json:
        print_json([asdict(step) for step in steps])
    else:
        for step in steps:
            say(step_line(step))
    if any(step.ok is False for step in steps):
        raise typer.Exit(1)


def preview(
    ref: Ref,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many records.")] = 3,
    as_json: Json = False,
) -> None:
    """The exact requests the next sync would send, secrets masked; sends nothing, changes nothing."""
    from core import connections

    requests = connections.preview(operator(), ref, limit)
    if as_json:
        return print_json([asdict(request) for request in requests])
    if not requests:
        say("Nothing would be sent: no record waits that this connection wants.")
    for request in requests:
        _print_request(request)


def step_line(step: "Step") -> str:
    return printable(f"{SIGNS[step.ok]} {step.name:<12} {step.text}")


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
