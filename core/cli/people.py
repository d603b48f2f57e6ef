"""`hub user` and `hub token`: who may sign in, and which programs may ask."""

import sys
from typing import Annotated

import typer

from core.cli.operator import operator, password
from core.cli.output import Guarded, Json, counted, print_json, print_table, say, say_error, whole_number
from core.platform.errors import Conflict, Invalid, NotFound

Stdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from one line of stdin.")]

users = typer.Typer(cls=Guarded, no_args_is_help=True, help="People who may sign in.")
tokens = typer.Typer(cls=Guarded, no_args_is_help=True, help="API tokens.")


def register(app: typer.Typer) -> None:
    app.add_typer(users, name="user")
    app.add_typer(tokens, name="token")


@users.command("add")
def add(
    email: str,
    role: Annotated[str, typer.Option(help="admin, member or viewer.")] = "member",
    password_stdin: Stdin = False,
    external_id: Annotated[str | None, typer.Option(help="The person's user uuid in FootprintIQ.")] = None,
) -> None:
    """Add a person. Their records are found by e-mail or by --external-id."""
    from core.records import people

    who = operator()
    _require_new(email)
    secret = password(from_stdin=password_stdin)
    user, theirs = people.add(who, email, role, secret, external_id)
    say(f"Added {user.email} as {user.role}; {_early(theirs)}.")
    if secret is None:
        say_error(f"No password was given: set one with `hub user password {user.email}` before signing in.")


@users.command("edit")
def edit(
    email: str,
    external_id: Annotated[
        str,
        typer.Option(help='The person\'s user uuid in FootprintIQ; "" takes it away.', show_default=False),
    ],
) -> None:
    """Change how a person's records are known. What came before under that id is theirs from now on."""
    from core.records import people

    user, theirs = people.edit(operator(), email, external_id)
    named = f"has the external id {user.external_id}" if user.external_id else "has no external id"
    say(f"{user.email} {named} now; {_early(theirs)}.")


def _early(number: int) -> str:
    return counted(number, "record that came before is theirs", "records that came before are theirs")


def _require_known(email: str) -> None:
    """Before a password is asked for. Raises NotFound that names the nearest."""
    from core import access
    from core.storage import db

    with db.reading() as session:
        access.find_user(session, email)


def _require_new(email: str) -> None:
    try:
        _require_known(email)
    except NotFound:
        return
    raise Conflict(f'There is already a user "{email}". Choose another e-mail or change that one.')


@users.command("list")
def list_users(as_json: Json = False) -> None:
    """Everybody who may sign in."""
    from core import access

    people = access.list_users(operator())
    if as_json:
        hidden = {"password_hash", "adopted_at"}
        return print_json([person.model_dump(exclude=hidden) for person in people])
    print_table(
        ("E-mail", "Role", "Added", "Disabled", "External id"),
        [(p.email, p.role, p.created_at, p.disabled_at, p.external_id) for p in people],
        empty="Nobody yet. Run `hub init` to make the first admin.",
    )


@users.command("password")
def set_password(email: str, password_stdin: Stdin = False) -> None:
    """Give a person a new password; they are signed out everywhere."""
    from core import access

    who = operator()
    _require_known(email)
    secret = password(from_stdin=password_stdin, prompt=f"New password for {email}: ")
    if secret is None:
        raise Invalid("There is no terminal to ask for the password. Pipe it in with --password-stdin.")
    access.set_password(who, email, secret)
    say(f"{email} has a new password and is signed out everywhere.")


@users.command("role")
def set_role(email: str, role: Annotated[str, typer.Argument(help="admin, member or viewer.")]) -> None:
    """Change what a person may do."""
    from core import access

    access.set_role(operator(), email, role)
    say(f"{email} is {role} now.")


@users.command("disable")
def disable(email: str) -> None:
    """Take a person's access away at once; their connections send nothing until another owns them."""
    from core import access

    access.disable_user(operator(), email)
    say(f"{email} has no access any more.")


@users.command("enable")
def enable(email: str) -> None:
    """Give a disabled person their access back."""
    from core import access

    access.enable_user(operator(), email)
    say(f"{email} may sign in again.")


@tokens.command("create")
def create(
    email: str,
    name: Annotated[str, typer.Option(help="What the token is for.")] = "",
    expires: Annotated[
        int | None,
        typer.Option(parser=whole_number(1), metavar="DAYS", help="Days until it stops working."),
    ] = None,
) -> None:
    """Make an API token that acts as EMAIL; it is printed once, alone on stdout."""
    from core import access

    say(access.create_token(operator(), email, name, expires))
    if sys.stdout.isatty():
        say_error("Store it now; it is not shown again.")


@tokens.command("list")
def list_tokens(as_json: Json = False) -> None:
    """Tokens, without their values."""
    from core import access

    who = operator()
    found = access.list_tokens(who)
    emails = {person.id: person.email for person in access.list_users(who)}
    if as_json:
        shown = [token.model_dump(exclude={"token_hash"}) for token in found]
        return print_json([token | {"email": emails.get(token["user_id"])} for token in shown])
    print_table(
        ("Id", "Acts as", "Name", "Created", "Expires", "Last used", "Revoked"),
        [
            (t.id, emails.get(t.user_id), t.name, t.created_at, t.expires_at, t.last_used_at, t.revoked_at)
            for t in found
        ],
        empty="No tokens yet. Make one with `hub token create EMAIL`.",
    )


@tokens.command("revoke")
def revoke(token_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Make a token stop working at once."""
    from core import access

    access.revoke_token(operator(), token_id)
    say(f"Token {token_id} no longer works.")
