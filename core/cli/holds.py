"""`hub release`, `hub discard`: a person decides about the tickets that one sync would have created at once."""

from typing import Annotated

import typer

from core.cli.operator import operator, require_yes
from core.cli.output import Json, Yes, print_json, say, whole_number
from core.cli.try_out import Ref

Delivery = Annotated[
    int | None,
    typer.Option(parser=whole_number(1), metavar="N", help="Only this delivery, by its number."),
]


def register(app: typer.Typer) -> None:
    app.command()(release)
    app.command()(discard)


def release(ref: Ref, delivery: Delivery = None, as_json: Json = False) -> None:
    """Send what is held: `hub deliveries C --state held` lists it."""
    from core.delivery import history

    number = history.release(operator(), ref, delivery)
    _answer(ref, number, "released; sent with the next sync", as_json)


def discard(ref: Ref, delivery: Delivery = None, yes: Yes = False, as_json: Json = False) -> None:
    """Do not send what is held. It is marked as skipped and can be replayed."""
    from core import connections
    from core.delivery import history
    from core.delivery.history.held import lost

    who = operator()
    view = connections.find(who, ref)
    held = view.held if delivery is None else min(1, view.held)
    if held:
        require_yes(yes, f"{lost(held, view.vendor)} Discard?", f'"{view.name}": nothing was discarded')
    number = history.discard(who, view.id, delivery)
    back = f'`hub replay "{view.name}" --state skipped --reason "Discarded by"` takes it back'
    _answer(ref, number, f"discarded; {back}", as_json)


def _answer(ref: str, number: int, done: str, as_json: bool) -> None:
    if as_json:
        print_json({"connection": ref, "records": number})
    else:
        say(f"{ref}: {number:,} {done}.")
