"""`hub connect`, `hub connections` and what is done to one of them."""

import shlex
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from core.cli import completion, fields
from core.cli.catalog import print_tools
from core.cli.door import before_saving
from core.cli.operator import operator, pairs, require_yes, say_trouble, secrets
from core.cli.output import Json, Yes, cell, print_json, print_pairs, print_table, say, say_error
from core.cli.program_name import called
from core.cli.try_out import Ref, left_out, print_requests, step_line
from core.platform.errors import HubError, Invalid

if TYPE_CHECKING:
    from core.connections import ConnectionView
    from core.integrations.base import Step

Refs = Annotated[
    list[str],
    typer.Argument(metavar="C…", help="Connections, by id or name.", autocompletion=completion.connections),
]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A field or an option.")]
SecretPairs = Annotated[
    list[str] | None,
    typer.Option(
        "--secret", metavar="NAME[=VALUE]", help="A secret; NAME alone asks for it, NAME=- reads stdin."
    ),
]
SecretFiles = Annotated[
    list[str] | None, typer.Option("--secret-file", metavar="NAME=PATH", help="A secret that is in a file.")
]
Every = Annotated[str | None, typer.Option(help="How often to sync: 30s, 5m, 2h, 1d.")]


def register(app: typer.Typer) -> None:
    app.command("connections")(listing)
    for command in (connect, edit):
        app.command(cls=fields.WithOptions)(command)
    for other in (show, enable, disable, delete):
        app.command()(other)


def connect(
    slug: Annotated[
        str | None,
        typer.Argument(help="The tool; without it, all are listed.", autocompletion=completion.tools),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the connection; needed.")] = None,
    owner: Annotated[str | None, typer.Option(help="E-mail of its owner; default: the first admin.")] = None,
    settings: Set = None,
    secret: SecretPairs = None,
    secret_file: SecretFiles = None,
    every: Every = None,
    shared: Annotated[bool, typer.Option(help="Show it to everybody who may sign in.")] = False,
    no_test: Annotated[bool, typer.Option("--no-test", help="Save without asking the tool first.")] = False,
    only_preview: Annotated[
        bool, typer.Option("--preview", help="Show its first requests. Saves, sends and calls nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Test, then save a connection and print its id, alone on stdout; what to do next is on stderr."""
    from core import connections
    from core.integrations import generated

    if slug is None and name is None:
        return _say_how_to_connect()
    if slug is None:
        raise typer.BadParameter("say which tool; `hub catalog` lists them.", param_hint="slug")
    if name is None:
        raise typer.BadParameter("say what to call the connection.", param_hint="--name")
    who = operator(opens_secrets=True)
    manifest = connections.offer(slug)
    values, options = fields.split(manifest, _given(settings, every))
    values |= fields.secret_values(manifest, secrets(secret or [], secret_file or []))
    shown_once = generated(manifest, values)
    values |= shown_once
    connections.check_new(who, slug, name=name, values=values, options=options, owner=owner)
    if only_preview:
        return print_requests(connections.preview_draft(who, slug, values, options), as_json)
    if not no_test:
        _require_passed(connections.test_draft(who, slug, values), manifest.name)
    made = connections.create(
        who, slug, name=name, values=values, options=options, owner=owner, shared=shared
    )
    print_json({"id": made, **shown_once}) if as_json else say(made)
    if not as_json:
        for field, value in shown_once.items():
            say_error(f"{field}: {value}\nKeep it now: the hub does not show it again.")
        if missing := left_out(made):
            say_error(missing)
        say_error(_next_steps(name))


def _next_steps(name: str) -> str:
    ref = shlex.quote(name)
    steps = {
        f"preview {ref}": "shows its first requests",
        f"sync {ref}": "sends them now; a running scheduler does so by itself",
        "status": "says how it stands",
    }
    width = max(map(len, steps))
    lines = [f"  {called()} {step:<{width}}  {does}" for step, does in steps.items()]
    return "\n".join([f'"{name}" is connected. Next:', *lines])


def listing(as_json: Json = False) -> None:
    """All connections."""
    from core import connections
    from core.health.status import by_need

    who = operator()
    views = sorted(connections.list_views(who), key=lambda view: by_need(view.standing, view.name))
    if as_json:
        return print_json([asdict(view) for view in views])
    print_table(
        ("Name", "Tool", "Owner", "Every", "State", "Last sync", "Waiting", "Dead", "How it stands"),
        [
            (
                *(v.name, v.vendor, v.owner, v.options.get("every"), v.standing.word),
                *(v.last_sync, v.unsent, v.dead, v.standing.sentence),
            )
            for v in views
        ],
        empty="No connections yet. See `hub catalog`, then `hub connect SLUG --name N --set …`.",
    )
    say_trouble()


def show(ref: Ref, as_json: Json = False) -> None:
    """One connection with its fields (secrets masked) and options."""
    from core import connections

    who = operator()
    view = connections.find(who, ref)
    if as_json:
        return print_json(asdict(view))
    _print_view(view)
    say_trouble()


def edit(
    ref: Ref,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    settings: Set = None,
    secret: SecretPairs = None,
    secret_file: SecretFiles = None,
    every: Every = None,
    owner: Annotated[
        str | None, typer.Option(help="E-mail of its next owner; its secrets are entered again.")
    ] = None,
    shared: Annotated[
        bool | None, typer.Option("--shared/--no-shared", help="Show it to everybody who may sign in.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Change a connection's name, fields, secrets, options or owner; what is not named stays."""
    from core import connections
    from core.integrations import get

    who = operator(opens_secrets=True)
    manifest = get(connections.find(who, ref).slug)
    values, options = fields.split(manifest, _given(settings, every))
    values |= fields.secret_values(manifest, secrets(secret or [], secret_file or []))
    if name is None and owner is None and shared is None and not values and not options:
        raise Invalid(
            "Nothing to change was named. Use --name, --set, --secret, --every, --shared or --owner."
        )
    changed = connections.edit(
        who, ref, name=name, values=values or None, options=options or None, shared=shared, owner=owner
    )
    if as_json:
        return print_json(asdict(connections.find(who, changed)))
    hint = f' Test it with `hub test "{name or ref}"`.' if values else ""
    say(f"{name or ref} is changed.{hint}")


def enable(
    refs: Refs,
    backlog: Annotated[
        Literal["send", "skip"] | None, typer.Option(help="What becomes of more than 1,000 that wait.")
    ] = None,
) -> None:
    """Switch connections on."""
    from core import connections

    who = operator()
    _each(refs, lambda ref: connections.enable(who, ref, backlog=backlog), "is on")


def disable(refs: Refs) -> None:
    """Switch connections off; what waits stays."""
    from core import connections

    who = operator()
    _each(refs, lambda ref: connections.disable(who, ref), "is off")


def delete(ref: Ref, yes: Yes = False) -> None:
    """Delete a connection: its secret is destroyed, what waits is skipped, the history stays."""
    from core import connections

    who = operator()
    view = connections.find(who, ref)
    question = f'Delete "{view.name}"? Its secret is destroyed and {view.unsent} waiting are not sent.'
    require_yes(yes, question, f'"{view.name}" was not deleted')
    connections.delete(who, view.id)
    say(f'"{view.name}" is deleted.')


def _say_how_to_connect() -> None:
    print_tools()
    say("Fields of one: `hub catalog SLUG`. Connect it:")
    say("`hub connect SLUG --name NAME --set FIELD=VALUE --secret FIELD`")


def _given(settings: list[str] | None, every: str | None) -> dict[str, str]:
    return pairs(settings or [], "--set") | ({"every": every} if every else {})


def _require_passed(steps: "list[Step]", vendor: str) -> None:
    for step in steps:
        say_error(step_line(replace(step, text=before_saving(step.text))))
    if any(step.ok is False for step in steps):
        raise Invalid(f"{vendor} was not connected, nothing was saved. Correct it, or add --no-test.")


def _each(refs: list[str], act: Any, done: str) -> None:
    """`act` on each; a failure does not keep the others from their turn. Exit 1 if one failed."""
    failed = False
    for ref in refs:
        try:
            act(ref)
            say(f"{ref} {done}.")
        except HubError as error:
            failed = True
            say_error(error.message)
    if failed:
        raise typer.Exit(1)


def _print_view(view: "ConnectionView") -> None:
    print_pairs(
        [
            *((n, getattr(view, n)) for n in ("name", "id", "vendor", "owner", "shared")),
            ("on", view.is_active),
            ("standing", f"{view.standing.word}. {view.standing.sentence}"),
            ("waits until", view.next_call_at if view.is_active else None),
            ("left out", left_out(view.id)),
            *((f"field {n}", value) for n, value in view.config.items()),
            *((f"option {n}", value) for n, value in view.options.items()),
            ("last sync", view.last_sync),
            ("next sync", view.next_sync if view.is_active else None),
            ("last success", view.last_success_at),
            ("waiting", view.unsent),
            *((n.replace("_", " "), cell(getattr(view, n))) for n in ("held", "in_doubt", "dead")),
        ]
    )
