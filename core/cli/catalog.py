"""`hub catalog`: the tools that can be connected."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from core.cli import completion, fields
from core.cli.output import Json, print_json, print_pairs, print_table, say, say_error

if TYPE_CHECKING:
    from core.integrations import Manifest


def register(app: typer.Typer) -> None:
    app.command("catalog")(catalog)


def catalog(
    slug: Annotated[
        str | None, typer.Argument(help="One entry, with its fields.", autocompletion=completion.tools)
    ] = None,
    as_json: Json = False,
) -> None:
    """The tools that can be connected, or one of them with its fields."""
    from core import connections, integrations

    if slug is None:
        if as_json:
            print_json([asdict(entry) for entry in offered().values()])
        else:
            print_tools()
        for sentence in integrations.disabled().values():
            say_error(sentence)
        return
    entry = connections.offer(slug) if _has_database() else integrations.get(slug)
    if as_json:
        return print_json(asdict(entry))
    _print_entry(entry, integrations.secret_fields(entry))


def print_tools() -> None:
    rows = [(e.slug, e.name, e.category, e.summary) for e in offered().values()]
    print_table(("Slug", "Name", "Category", "Does"), rows, empty="The catalog is empty.")


def offered() -> "dict[str, Manifest]":
    """What may be connected; before there is a database nobody has switched anything off."""
    from core import connections, integrations

    return connections.offered() if _has_database() else integrations.manifests()


def _has_database() -> bool:
    from core.storage import db

    return db.is_made()


def _print_entry(entry: "Manifest", secret: frozenset[str]) -> None:
    from core import integrations

    say(f"{entry.name}: {entry.summary}\n\n{entry.description.strip()}\n")
    required = set(entry.config.get("required", ()))
    planned = integrations.planned_fields(entry)
    print_table(
        ("Field", "Needed", "Give it with", "Means"),
        [
            (
                n,
                n in required,
                "--secret" if n in secret else "--set",
                s.get("description", s.get("title", "")),
            )
            for n, s in entry.config.get("properties", {}).items()
            if n not in planned
        ],
        empty="It takes no fields.",
    )
    if planned:
        say(f"Planned, and refused until then: {', '.join(planned)}.\n")
    print_table(
        ("Option of every connection, by --set", "Means"), fields.option_words().items(), empty="No options."
    )
    for number, step in enumerate(entry.setup, start=1):
        say(f"{number}. {step}")
    say()
    print_pairs(
        [
            ("Permissions", entry.permissions),
            ("Delivered means", entry.delivered_means),
            ("Known limits", "\n".join(entry.known_limits)),
            ("Vendor's page", entry.docs_url),
        ]
    )
