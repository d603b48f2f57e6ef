"""Who acts at a terminal, and what they may hand in: passwords, secrets, `name=value` pairs."""

import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from core.cli.output import counted, say_error
from core.platform.errors import Invalid, Unusable
from core.platform.secret import LONGEST_PEM_CHARS, Secret

if TYPE_CHECKING:
    from core.access import Principal


def operator(*, opens_secrets: bool = False) -> "Principal":
    """The operator at this machine, once the database is there and current. Raises Unusable otherwise.

    With `opens_secrets` also when the key file is gone.
    """
    from core import access
    from core.delivery import workers
    from core.storage import db

    db.check_current()
    workers.attend()
    if opens_secrets:
        require_key()
    return access.LOCAL


def say_trouble() -> None:
    """What is wrong with the hub itself, on stderr."""
    from core.health import self_check

    for found in self_check.standing():
        say_error(found.sentence)


def require_key() -> None:
    """Raises Unusable when the key file is gone and connections are sealed with it: a new key opens none."""
    from core import access, connections
    from core.platform.secret import MASK
    from core.platform.settings import settings

    chosen = settings()
    if chosen.secret_keys is not None or chosen.secret_key_file.exists():
        return
    sealed = sum(MASK in view.config.values() for view in connections.list_views(access.LOCAL))
    if sealed:
        raise Unusable(
            f"The key file {chosen.secret_key_file} is missing, and "
            f"{counted(sealed, 'connection is', 'connections are')} sealed with it. "
            "Put it back from the backup, or point HUB_SECRET_KEY_FILE at it."
        )


def require_yes(is_sure: bool, question: str, undone: str) -> None:
    """Ask before what cannot be undone at once. Raises Invalid, which says what was not done (`undone`)."""
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise Invalid(f"{undone}: there is no terminal to ask at. Add --yes if you mean it.")
    if not typer.confirm(question):
        raise Invalid(f"{undone}: everything stays as it is.")


def password(*, from_stdin: bool, prompt: str = "Password: ") -> Secret | None:
    """One line of stdin, or typed twice without echo; None where there is nobody to ask."""
    if from_stdin:
        return Secret(_line())
    if not sys.stdin.isatty():
        return None
    typed = getpass.getpass(prompt)
    if typed != getpass.getpass("Once more: "):
        raise Invalid("The two passwords are not the same. Start again.")
    return Secret(typed)


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """`name=value` of a repeated option as a dict. Raises Invalid for a word without "="."""
    found = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise Invalid(f'{option} "{word}" is not name=value. Write it like {option} url=https://….')
        found[name] = value
    return found


def secrets(given: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    """`--secret` and `--secret-file` as plain values, to be sealed by the verb that gets them.

    `name=value` is visible to everybody on this machine who may list processes; `name` alone asks without
    echo, `name=-` reads one line of stdin.
    """
    found = {}
    for word in given:
        name, equals, value = word.partition("=")
        if equals and value != "-":
            found[name] = value
        elif equals or not sys.stdin.isatty():
            found[name] = _line()
        else:
            found[name] = getpass.getpass(f"{name}: ")
    return found | {name: _content(path, name) for name, path in pairs(files, "--secret-file").items()}


def _line() -> str:
    line = sys.stdin.readline(LONGEST_PEM_CHARS).rstrip("\r\n")
    if not line:
        raise Invalid("A secret was expected on stdin, but nothing came. Pipe it in, one line.")
    return line


def _content(path: str, name: str) -> str:
    try:
        with Path(path).open("rb") as file:
            raw = file.read(LONGEST_PEM_CHARS + 1)
    except OSError as error:
        raise Unusable(f'The file {path} for "{name}" cannot be read ({error.strerror}). Check it.') from None
    if len(raw) > LONGEST_PEM_CHARS:
        raise Invalid(
            f'The file {path} for "{name}" is over {LONGEST_PEM_CHARS:,} bytes. Is it the right one?'
        )
    try:
        return raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise Invalid(f'The file {path} for "{name}" is not text. Is it the right one?') from None
