"""`hub import`, `hub pull` and `hub explain`: records in, and the whole story of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli.operator import operator
from core.cli.output import Json, cell, counted, print_json, printable, say, say_error
from core.platform.errors import Invalid, NotFound, did_you_mean

if TYPE_CHECKING:
    from core.access import Principal
    from core.delivery.history.views import RecordStory
    from core.records.intake import Imported, Progress
    from core.storage.models import Kind

KINDS = {"scans": "scan", "cases": "case", "alerts": "alert"}
#: below this an import is over before a bar could be read
BAR_FROM_ROWS = 1_000
SHOWN_BAD_LINES = 20
STOPPED = 130  # as shells say it of a program that Ctrl-C ended


def register(app: typer.Typer) -> None:
    app.command("import")(import_records)
    app.command("pull")(pull)
    app.command("explain")(explain)


def kind_of(word: str) -> "Kind":
    """`scans` or `scan` → Kind. Raises Invalid with the nearest."""
    from core.storage.models import Kind

    name = KINDS.get(word, word)
    if name not in KINDS.values():
        raise Invalid(
            f'"{word}" is not a kind of record; choose scans, cases or alerts.{did_you_mean(word, KINDS)}'
        )
    return Kind(name)


def import_records(
    kind: Annotated[str, typer.Argument(help="scans, cases or alerts.")],
    file: Annotated[str, typer.Argument(help="NDJSON, a JSON array or CSV; - for stdin.")],
    as_json: Json = False,
) -> None:
    """Take records from a file; safe to repeat. Exit 1 when a line could not be taken.

    docs/records.md has the fields of each kind; data/samples/ has a file of each.
    """
    from core.records import intake

    who, what = operator(), kind_of(kind)
    so_far = intake.Imported()
    with _bar(f"Importing {kind}") as show:

        def note(done: int, size: int | None, total: "Imported") -> None:
            nonlocal so_far
            so_far = total
            show(done, size, total)

        try:
            done = intake.import_file(who, what, file, note)
        except KeyboardInterrupt:
            say_error(_stopped(so_far))
            raise typer.Exit(STOPPED) from None
    if as_json:
        print_json(asdict(done))
    _judge(done, "stdin" if file == "-" else file, is_said=as_json)


def _judge(done: "Imported", name: str, *, is_said: bool) -> None:
    """Say what became of it. Exit 1 when there was nothing, or something could not be taken."""
    if not done.total:
        raise Invalid(f"No record was read: {name} holds none. Is it the right one?")
    reasons = {reason for _, reason in done.bad}
    if done.bad_count == done.total > 1 and len(reasons) == 1:
        raise Invalid(f"None of {done.total:,} records was taken: {reasons.pop()}.")
    if not is_said:
        say(f"{done.total:,} read: {_counts(done)}.")
    if done.noted_count:
        _say_lines(done.noted, done.noted_count)
        say_error(
            f"{done.noted_count:,} of {done.total:,} could not be stored as they came; each record says in "
            "extra.hub_notes what was changed."
        )
    if done.bad_count:
        _say_lines(done.bad, done.bad_count)
        say_error(
            f"{done.bad_count:,} of {done.total:,} could not be taken; correct them and import the file again."
        )
        raise typer.Exit(1)


def _counts(done: "Imported") -> str:
    return f"{done.new:,} new, {done.changed:,} changed, {done.same:,} already there"


def _stopped(so_far: "Imported") -> str:
    taken = so_far.new + so_far.changed + so_far.same
    if not taken:
        return "Stopped: no record was taken yet."
    return (
        f"Stopped: {taken:,} records were taken ({_counts(so_far)}) and stay. Import it again for the rest."
    )


def _say_lines(lines: list[tuple[int, str]], number: int) -> None:
    for line, reason in lines[:SHOWN_BAD_LINES]:
        say_error(printable(f"Line {line}: {reason}"))
    if number > SHOWN_BAD_LINES:
        say_error(f"… and {counted(number - SHOWN_BAD_LINES, 'more line', 'more lines')}.")


def pull(as_json: Json = False) -> None:
    """Read what is new in the FootprintIQ database at HUB_SOURCE_URL, once; the scheduler does so by itself."""
    from core.platform.settings import settings
    from core.records import source
    from core.records.storable import said

    pulled = source.pull(operator(), settings().source_url)
    if as_json:
        return print_json({str(kind): asdict(stored) for kind, stored in pulled.items()})
    for kind, stored in pulled.items():
        say(f"{kind}s: {stored.new:,} new, {stored.changed:,} changed, {stored.same:,} already there.")
        if stored.problems:
            bad = counted(len(stored.problems), f"{kind} was not taken", f"{kind}s were not taken")
            say_error(printable(f"{bad}; the first: {stored.problems[0][1]}."))
        if stored.notes:
            changed = counted(len(stored.notes), f"{kind} was changed", f"{kind}s were changed")
            say_error(printable(f"{changed} to be stored; the first: {said(stored.notes[0][1])}."))


def explain(
    kind: Annotated[str, typer.Argument(help="scan, case or alert.")],
    record_id: Annotated[str, typer.Argument(metavar="ID", help="FootprintIQ's id, or a delivery's key.")],
    as_json: Json = False,
) -> None:
    """The whole story of one record: when it came, where it went, and why not elsewhere."""
    from core.delivery import history

    who, wanted = operator(), kind_of(kind)
    story = history.explain(who, wanted, _id_of(who, wanted, record_id))
    print_json(_as_json(story)) if as_json else _tell(story)


def _id_of(who: "Principal", kind: "Kind", word: str) -> str:
    """FootprintIQ's id of the record whose delivery has this key, as tickets and events carry it."""
    from core.delivery.history.lookup import KEY_PREFIX
    from core.delivery.history.search import DeliveryFilter, search

    if not word.startswith(KEY_PREFIX):
        return word
    found = [row for row in search(who, DeliveryFilter(record=word), limit=1).rows if row.kind == kind]
    if not found or found[0].record_id is None:
        raise NotFound(f'No {kind} went out under the key "{word}". `hub deliveries --json` has the keys.')
    return found[0].record_id


def _tell(story: "RecordStory") -> None:
    say(printable(f"{story.kind} {story.id}: {story.title} ({story.severity})"))
    changed = f", changed {story.revision - 1} times since" if story.revision > 1 else ""
    say(f"Received {cell(story.received_at)}{changed}.")
    for told in story.connections:
        say(printable(f"  {told.connection}: {told.sentence}"))
        left = told.delivery.next_attempts[1:] if told.delivery else []
        if left:
            then = ", ".join(f"{moment:%d %b %H:%M}" for moment in left[:5]) + (" …" if len(left) > 5 else "")
            say(f"    If that fails: {then} UTC; {counted(len(left), 'attempt is', 'attempts are')} left.")
    if not story.connections:
        say("No connection takes this kind of record. See `hub catalog`, then `hub connect`.")


def _as_json(story: "RecordStory") -> dict[str, Any]:
    """Each connection's story flat: the delivery's own fields beside the sentence, without its body."""
    told = asdict(story)
    for connection in told["connections"]:
        connection |= {
            name: value for name, value in (connection.pop("delivery") or {}).items() if name != "payload"
        }
    return told


@contextmanager
def _bar(title: str) -> Iterator["Progress"]:
    """A progress bar on a terminal's stderr that appears once there is something to wait for."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(title), BarColumn(), TextColumn("{task.fields[rows]:,} rows"), TimeElapsedColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task(title, total=None, visible=False, rows=0)
        yield lambda done, size, so_far: bar.update(
            task, completed=done, total=size, rows=so_far.total, visible=so_far.total >= BAR_FROM_ROWS
        )
