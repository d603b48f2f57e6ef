"""`hub release`, `hub discard`: a person decides about the tickets that one sync would have created at once."""

from typing import Annotated

import typer

from core.cli.operator import operator
from core.cli.output import Json, print_json, say
from core.cli.try_out import Ref

Delivery = Annotated[int | None, typer.Option(min=1, help="Only this delivery, by its number.")]


def register(app: typer.Typer) -> None:
    app.command()(release)
    app.command()(discard)


def release(ref: Ref, delivery: Delivery = None, as_json: Json = False) -> None:
    """Send what is held: `hub deliveries C --state held` lists it."""
    from core.delivery import history

    number = history.release(operator(), ref, delivery)
    _answer(ref, number, "released; sent with the next sync", as_json)


def discard(ref: Ref, delivery: Delivery = None, as_json: Json = False) -> None:
    """Do not send what is held. It is marked as skipped and can be replayed."""
    from core.delivery import history

    _answer(ref, history.discard(operator(), ref, delivery), "discarded", as_json)


def _answer(ref: str, number: int, done: str, as_json: bool) -> None:
    if as_json:
        print_json({"connection": ref, "records": number})
    else:
        say(f"{ref}: {number:,} {done}.")
