"""What a terminal is shown: tables for people, JSON for programs, one sentence for a failure."""

import os
import sys
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from core.cli.door import at_terminal
from core.cli.examples import epilog
from core.cli.program_name import runnable
from core.platform.durations import DAY_S, duration
from core.platform.errors import HubError, Invalid, Unusable

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]
#: width of a table that goes into a file or a pipe, where nothing wraps: wide enough not to cut a sentence
PIPE_COLUMNS = 200


class Guarded(TyperGroup):
    """The program's last catch: a failure becomes one sentence on stderr and exit 1."""

    def get_command(self, ctx: Any, name: str) -> Any:
        command = super().get_command(ctx, name)
        if command:
            _untyped(command.get_params(ctx))
            command.epilog = epilog(name if ctx.parent is None else f"{ctx.info_name} {name}")
        return command

    def get_params(self, ctx: Any) -> Any:
        return _untyped(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except HubError as error:
            say_error(sentence_of(error))
        except (typer.Exit, typer.Abort, OSError) as error:
            if not isinstance(error, OSError) or isinstance(error, BrokenPipeError):
                raise
            say_error(f"{error.strerror or error}: {error.filename or ctx.info_name}.")
        except Exception as error:
            if type(error).__module__.split(".")[0] in ("click", "typer"):
                raise
            say_error(f"Something went wrong that hub has no words for; details are in {_log(error)}.")
        raise typer.Exit(1)


def _untyped(params: Any) -> Any:
    """A switch takes no value: without this its help says <bool>."""
    for option in params:
        if getattr(option, "is_flag", False):
            option.metavar = ""
    return params


def sentence_of(error: HubError) -> str:
    """The error's sentence, and each wrong field's own where it is not in that sentence already."""
    lines = [error.message]
    if isinstance(error, Invalid):
        lines += [f"  {name}: {text}" for name, text in error.fields.items() if text not in error.message]
    return "\n".join(lines)


def whole_number(low: int, high: int | None = None) -> Any:
    """Reads an option's number; what is none, or out of range, is said in words (exit 2)."""
    upto = "up" if high is None else f"to {high:,}"

    def read(given: str | int) -> int:  # a default comes as it is
        text = str(given)
        is_number = text.isascii() and text.isdigit() and len(text) < 19
        if not is_number or int(text) < low or (high is not None and int(text) > high):
            raise typer.BadParameter(f'"{text}" is not a whole number from {low} {upto}.')
        return int(text)

    return read


def here(text: str) -> str:
    """With the terminal's verbs, each command as it is called here."""
    return runnable(at_terminal(text))


def say(text: str = "") -> None:
    print(here(text), flush=True)  # noqa: T201 - flushed, because `hub up` says a line and then waits for hours


def say_error(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(here(text) + "\n")


def print_version(is_asked: bool) -> None:
    """For `hub --version`, before anything else is looked at."""
    from importlib.metadata import version

    if is_asked:
        say(f"hub {version('footprintiq-hub')}")
        raise typer.Exit


def print_json(data: Any) -> None:
    import orjson

    sys.stdout.write(orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode() + "\n")


def say_line(data: Any) -> None:
    """One JSON document in a line of its own, as it comes."""
    import orjson

    print(orjson.dumps(data).decode(), flush=True)  # noqa: T201


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table, or the sentence `empty` where there is nothing: it says what to do next."""
    cells = [[here(cell(value)) for value in row] for row in rows]
    if not cells:
        return say(empty)
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")  # nothing is cut off, however narrow the terminal
    for line in cells:
        table.add_row(*line)
    _console().print(table)


def print_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """`name  value` lines; what is empty is left out."""
    shown = [(name, cell(value)) for name, value in pairs if value not in (None, "", {}, [])]
    width = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        say(f"{name:<{width}}  " + text.replace("\n", "\n" + " " * (width + 2)))


def cell(value: object) -> str:
    """A value as a person reads it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return ago(value, datetime.now(UTC))
    if isinstance(value, dict):
        return ", ".join(f"{name}={cell(item)}" for name, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(cell(item) for item in value)
    return printable(str(value))


def counted(number: int, one: str, many: str) -> str:
    """`1 record belongs`, `1,200 records belong`."""
    return f"{number:,} {one if number == 1 else many}"


def printable(text: str) -> str:
    """Without control characters: a record's title must not move the cursor or colour the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)


def ago(moment: datetime, now: datetime) -> str:
    """`3 min ago`, `in 2 h`; further away than a week: the date."""
    seconds = (now - moment).total_seconds()
    size = abs(seconds)
    if size < 1:
        return "now"
    if size >= 7 * DAY_S:
        return moment.strftime("%Y-%m-%d %H:%M UTC")
    return f"{duration(size)} ago" if seconds > 0 else f"in {duration(size)}"


def _console() -> Any:
    from rich.console import Console

    return Console(
        width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False, markup=False, emoji=False
    )


def _log(error: BaseException) -> Path:
    """Append the traceback to the error log of this installation, or to one in the temp folder."""
    text = f"--- {datetime.now(UTC).isoformat()}\n{''.join(traceback.format_exception(error))}\n"
    try:
        path = run_folder() / "errors.log"
        _append(path, text)
    except (HubError, OSError):
        handle, name = tempfile.mkstemp(prefix="hub-error-", suffix=".log")
        os.close(handle)
        path = Path(name)
        _append(path, text)
    return path


def _append(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    with path.open("a", encoding="utf-8") as log:
        log.write(text)


def run_folder() -> Path:
    """The run folder, made where it is missing."""
    from core.platform.settings import settings

    folder = settings().run_folder
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unusable(
            f"The folder {folder} cannot be made ({error.strerror}). "
            "Make the one above it writable, or point HUB_SECRET_KEY_FILE elsewhere."
        ) from None
    return folder
