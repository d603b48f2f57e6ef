"""`hub restored`: the database was put back from a backup."""

import sys
from typing import TYPE_CHECKING

import typer

from core.cli.operator import operator
from core.cli.output import Json, Yes, counted, print_json, say
from core.platform.errors import Invalid

if TYPE_CHECKING:
    from core.delivery.restored import Doubted


def register(app: typer.Typer) -> None:
    app.command()(restored)


def restored(yes: Yes = False, as_json: Json = False) -> None:
    """After a database was put back from a backup: look for what may have been sent since, before it is sent."""
    from core.delivery import restored as verbs

    who = operator()
    found = verbs.notice()
    if found is None:  # nothing shows it: a person must know
        _ask(yes or as_json)
        found = verbs.doubt(who)
    if as_json:
        return print_json(_data(found))
    tell(found)


def tell(found: "Doubted") -> None:
    """What is in doubt now, what becomes of it, and what to do next."""
    told = (
        (found.looked_for, "looked for in their tracker, and created only when they are not there"),
        (found.same_key, "sent again under the same key, which the tool keeps once"),
        (found.may_repeat, "sent again, and may be there twice; each will say so"),
    )
    number = counted(found.deliveries, "delivery is", "deliveries are")
    say(f"The database was put back from a backup: {number} in doubt.")
    for share, what in told:
        if share:
            say(f"  {share:,} {what}")
    say("Next: pull or import again what came in since the backup; look at `hub connections`.")


def _ask(is_sure: bool) -> None:
    from core.delivery import restored as verbs

    if is_sure or not sys.stdin.isatty():
        return
    waiting = counted(verbs.count(), "delivery", "deliveries")
    if not typer.confirm(f"Nothing shows that this database was put back. Put {waiting} in doubt?"):
        raise Invalid("Nothing was changed: everything stays as it is.")


def _data(found: "Doubted") -> dict[str, object]:
    return {
        "restored_at": found.at,
        "in_doubt": found.deliveries,
        "looked_for": found.looked_for,
        "same_key": found.same_key,
        "may_repeat": found.may_repeat,
    }
