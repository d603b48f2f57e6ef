"""The same verbs at a terminal: `hub`.

Exit 0 on success, 1 on a failure explained in one sentence on stderr, 2 on wrong usage.
"""

import gc
from typing import Annotated

import typer

from core.cli import (
    bench,
    catalog,
    connections,
    holds,
    output,
    people,
    processes,
    records,
    replays,
    restored,
    runs,
    status,
    transfer,
    try_out,
)

#: how many more objects than before make the collector look; Python's own 700 are for the server
RARELY = (500_000, 20, 100)

app = typer.Typer(
    cls=output.Guarded,
    name="hub",
    help="Connects FootprintIQ scans, cases and alerts to SIEMs, ticketing and chat.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    processes,
    status,
    people,
    catalog,
    connections,
    try_out,
    runs,
    replays,
    holds,
    records,
    restored,
    bench,
    transfer,
):
    module.register(app)


@app.callback(cls=output.Guarded)
def hub(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=output.print_version, help="Say which hub this is."
        ),
    ] = False,
) -> None:
    """Connects FootprintIQ scans, cases and alerts to SIEMs, ticketing and chat."""


def main() -> None:
    # most of what a command does is importing, which leaves no garbage: looking for some took a sixth of its time
    gc.set_threshold(*RARELY)
    app()
