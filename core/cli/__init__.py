"""The same verbs at a terminal: `hub`.

Exit 0 on success, 1 on a failure explained in one sentence on stderr, 2 on wrong usage.
"""

import typer

from core.cli import (
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
    try_out,
)

app = typer.Typer(
    cls=output.Guarded,
    name="hub",
    help="Connects FootprintIQ scans, cases and alerts to SIEMs, ticketing and chat.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (processes, people, catalog, connections, try_out, runs, replays, holds, records, restored):
    module.register(app)


def main() -> None:
    app()
