"""`hub copy`: a whole hub into another database."""

from typing import Annotated

import typer

from core.cli.operator import operator
from core.cli.output import Json, print_json, print_table, say
from core.platform.errors import Conflict


def register(app: typer.Typer) -> None:
    app.command()(copy)


def copy(
    target: Annotated[
        str,
        typer.Argument(metavar="URL", help="An empty database: postgresql+psycopg://user:password@host/name"),
    ],
    as_json: Json = False,
) -> None:
    """Copy everything into another database, as from SQLite to PostgreSQL. Stop the hub first."""
    from core.delivery import heartbeat
    from core.storage import db, transfer

    operator()
    with db.reading() as session:
        if not heartbeat.read(session, db.now(session)).is_silent:
            raise Conflict(
                "The scheduler runs. Stop the hub first: what it sends meanwhile would be sent again."
            )
    source = db.engine().url.render_as_string(hide_password=True)
    copied = {name: number for name, number in transfer.transfer(target).items() if number}
    if as_json:
        return print_json(copied)
    print_table(
        ("Table", "Rows"), [(name, f"{number:,}") for name, number in copied.items()], empty="No rows."
    )
    say(f"Copied {source} into {db.engine().url.render_as_string(hide_password=True)}.")
    say("Next: set HUB_DATABASE_URL to it for every process, keep the key file and data/run/, then start.")
