"""`hub bench`: the benchmarks, as a table. They are a program of their own, beside the hub in its source."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from core.cli.output import Json, whole_number
from core.platform.errors import Unusable

TOP = Path(__file__).resolve().parents[2]


def register(app: typer.Typer) -> None:
    app.command("bench")(bench)


def bench(
    rows: Annotated[
        list[str] | None, typer.Argument(metavar="ROW", help="Only these rows; without, all of them.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A minute: less of everything, one round; the ratios are rough.")
    ] = False,
    rounds: Annotated[
        int | None,
        typer.Option(parser=whole_number(1, 99), metavar="N", help="Rounds of each contest (3)."),
    ] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put the table into this document as well.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The hub's speed, beside others that do the same and beside the limit, measured here and now.

    On databases of its own in the temporary folder: the hub's is not touched. Peers that are missing are named with
    how to get them. docs/performance.md explains the rows.
    """
    if not (TOP / "bench").is_dir():
        raise Unusable(
            "The benchmarks are not part of the package. Clone the repository and run `make bench` there."
        )
    switches = ["--quick"] * quick + ["--json"] * as_json
    if rounds is not None:
        switches += ["--rounds", str(rounds)]
    if write is not None:
        switches += ["--write", str(write.resolve())]
    sys.stdout.flush()
    os.chdir(TOP)
    os.execv(sys.executable, [sys.executable, "-m", "bench", *(rows or []), *switches])  # noqa: S606 - our own program
