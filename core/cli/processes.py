"""`hub init`, `hub up` and its parts alone: `hub serve`, `hub scheduler`, `hub worker`, `hub sandbox`."""

import gc
import os
import shlex
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from core.cli import child_processes
from core.cli.operator import operator, say_trouble
from core.cli.output import Json, counted, print_json, run_folder, say, whole_number
from core.cli.program_name import called
from core.cli.restored import tell
from core.cli.setup import ADMIN, Made, prepare
from core.platform.errors import Unusable

Admin = Annotated[str, typer.Option("--admin", metavar="EMAIL", help="The first admin's e-mail.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on (HUB_HOST).")]
a_port = whole_number(1, 65535)
Port = Annotated[
    int | None, typer.Option(parser=a_port, metavar="PORT", help="Port to listen on (HUB_PORT).")
]
SandboxPort = Annotated[
    int, typer.Option("--sandbox-port", parser=a_port, metavar="PORT", help="The sandbox's port.")
]
OFTEN = gc.get_threshold()  # Python's own, before a command changes it
SANDBOX_HOST, SANDBOX_PORT = "127.0.0.1", 8600
#: the sandbox's mail server is this far above its port: 8625
MAIL_ABOVE = 25
THREADS = 16  # of a worker, as the scheduler's own
DRAIN_S = 8  # of the ten seconds in which `hub up` is gone, for the calls that are under way
LOG_BYTES = 10 * 2**20
TOP = Path(__file__).resolve().parents[2]
SCHEDULER = (sys.executable, str(TOP / "scheduler.py"))
HUB = (sys.executable, "-m", "core.cli")


def register(app: typer.Typer) -> None:
    for command in (init, up, scheduler, worker, sandbox):
        app.command()(command)
    app.command("free-space")(free_space)
    app.command("serve")(serve_pages)


def init(admin: Admin = ADMIN, as_json: Json = False) -> None:
    """Make or migrate the database, the key file and the first admin; safe to repeat."""
    made = prepare(admin)
    if as_json:
        plain = made.password.reveal() if made.password else None
        return print_json(
            {
                "database": made.database,
                "key_file": _text(made.key_file),
                "admin": made.admin,
                "password": plain,
            }
        )
    if made.doubted:
        tell(made.doubted)
    say(f"Database  {made.database}")
    if made.key_file:
        say(f"Key file  {made.key_file}  (back it up: without it no stored secret can be read)")
    say(_sign_in(made))


def up(
    demo: Annotated[
        bool, typer.Option("--demo", help="With sample records and a sandbox to look around.")
    ] = False,
    host: Host = None,
    port: Port = None,
    sandbox_port: SandboxPort = SANDBOX_PORT,
    admin: Admin = ADMIN,
) -> None:
    """Dashboard and scheduler together, until Ctrl-C stops them."""
    from core.platform.settings import settings

    _choose(host, port)
    mail_port = child_processes.free_port(SANDBOX_HOST, sandbox_port + MAIL_ABOVE)
    if demo:
        _allow(f"{SANDBOX_HOST}:{sandbox_port}")
        _allow(f"{SANDBOX_HOST}:{mail_port}")
    with child_processes.alone(run_folder() / "hub.lock"), child_processes.stopping() as stop:
        child_processes.require_free(settings().host, settings().port, "--port or HUB_PORT")
        if demo:
            child_processes.require_free(SANDBOX_HOST, sandbox_port, "--sandbox-port")
        ready = child_processes.apart(_make_ready, admin, demo)
        _run(ready, stop, (sandbox_port, mail_port) if demo else None)
    say(f"Stopped. Everything stays in {ready.database}; the next start goes on from here.")


@dataclass(frozen=True)
class Ready:
    """What is said once all runs: how to sign in, and lines about the connections; and whether workers run, too."""

    database: str
    has_workers: bool
    sign_in: str
    connections: list[str]


def _make_ready(admin: str, is_demo: bool) -> Ready:
    """Do all that needs the database before the start, and say what is said once: no secret is handed back."""
    from core.delivery import workers

    _check_egress()
    made = prepare(admin, may_be_locked=True)
    if made.password:
        say(_sign_in(made))  # at once: should the start fail, nothing could show it again
    if made.doubted:
        tell(made.doubted)
    sign_in = f"Sign in as {made.admin} with the password above." if made.password else _sign_in(made)
    return Ready(made.database, workers.are_used(), sign_in, [] if is_demo else _connections())


def free_space(as_json: Json = False) -> None:
    """On a full disk: give back the hub's reserve, empty the database's log, and say what is still missing."""
    from core.storage import db, disk

    freed = disk.give_back()  # first, because on a full disk not even reading may be possible
    freed += db.shrink_log()
    room = disk.room()
    missing = room.missing_bytes if room else 0
    if as_json:
        free = room.free_bytes if room else None
        return print_json({"freed_bytes": freed, "free_bytes": free, "missing_bytes": missing})
    if room is None:
        return say("The database is on a PostgreSQL server: make room on that machine.")
    mib = disk.MIB
    say(f"{freed // mib:,} MiB given back; {room.free_bytes // mib:,} MiB are free under {room.folder}.")
    if missing:
        say(
            f"{-(-missing // mib):,} MiB are still missing: remove other files, then the hub goes on by itself."
        )
    else:
        say(
            "That is enough: the hub goes on by itself, and makes its reserve again when there is room for it."
        )


def serve_pages(host: Host = None, port: Port = None) -> None:
    """The dashboard alone."""
    from core.delivery import workers
    from core.platform.settings import settings

    _choose(host, port)
    _check_egress()
    operator()
    workers.check()
    say_trouble()
    gc.set_threshold(*OFTEN)  # it lives long, and its pages leave garbage
    from core.web import serve

    serve(settings().host, settings().port)


def scheduler() -> None:
    """The clock that runs what is due, alone."""
    _check_egress()
    operator()
    sys.stdout.flush()
    os.execv(SCHEDULER[0], SCHEDULER)  # noqa: S606 - our own program, no shell


def worker(
    threads: Annotated[
        int,
        typer.Option(parser=whole_number(1, 32), metavar="N", help="How many runs it takes at once."),
    ] = THREADS,
) -> None:
    """One of any number of workers that run what is due, on this machine or another; PostgreSQL only."""
    from core.delivery import workers

    if not workers.are_used():
        raise Unusable(
            "HUB_EXECUTOR is local: the scheduler runs what is due in its own threads. For workers set "
            "HUB_EXECUTOR=procrastinate and HUB_DATABASE_URL=postgresql+psycopg://…, then run `hub init`."
        )
    _check_egress()
    operator()
    sys.stdout.flush()
    command = (*SCHEDULER, str(threads))
    os.execv(command[0], command)  # noqa: S606 - our own program, no shell


def sandbox(
    port: Annotated[
        int, typer.Option(parser=a_port, metavar="PORT", help="Port to listen on.")
    ] = SANDBOX_PORT,
    journal: Annotated[Path | None, typer.Option(help="Write what arrives to this file, as NDJSON.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not print how to connect to it.")] = False,
    smtp_port: Annotated[
        int | None,
        typer.Option(
            parser=a_port,
            metavar="PORT",
            help=f"Port for mail; if not given, {MAIL_ABOVE} above, or a free one.",
        ),
    ] = None,
) -> None:
    """Local stand-ins of the vendors, to try any integration with no account."""
    gc.set_threshold(*OFTEN)
    from sandbox import Sandbox, serve

    mail_port = smtp_port or child_processes.free_port(SANDBOX_HOST, port + MAIL_ABOVE)

    def tell(ready: Sandbox) -> None:
        first = f"In another terminal first: {ready.export_line()}"
        lines = [] if quiet else [first, "Then:", *ready.connect_lines(), "Ctrl-C stops it."]
        say("\n".join([f"Sandbox at {ready.url}", *lines]))

    kept = journal or run_folder() / "sandbox.ndjson"
    try:
        kept.touch(mode=0o600)  # it holds people's data
        serve(port, kept, tell, hub=called(), exports=_exports(), smtp_port=mail_port)
    except (OSError, ValueError) as error:
        raise Unusable(f"The sandbox cannot start: {error}") from None


def _run(ready: Ready, stop: threading.Event, sandbox: tuple[int, int] | None) -> None:
    from core.platform.settings import settings

    running: list[child_processes.Child] = []
    log = log_file()
    try:
        if sandbox is not None:
            command = _sandbox_command(*sandbox, run_folder() / "sandbox.ndjson")
            running.append(child_processes.start("sandbox", command, log))
        running.append(child_processes.start("dashboard", (*HUB, "serve"), log))
        running.append(child_processes.start("scheduler", SCHEDULER, log))
        if ready.has_workers:
            running.append(child_processes.start("worker", (*SCHEDULER, str(THREADS), str(DRAIN_S)), log))
        if sandbox is not None:
            _demo(running, stop, sandbox[0])
        if child_processes.await_answer((settings().host, settings().port, "/healthz"), running, stop):
            say(_banner(ready, sandbox[0] if sandbox else None, log))
            child_processes.watch(running, stop)
    finally:
        child_processes.stop(running)


def log_file() -> Path | None:
    """At a terminal log lines go to a file, so that what is printed here stays in view: the address, the sign-in.

    Into a pipe or a service's journal they go as ever (None). A file that has grown large is put aside.
    """
    if not _is_terminal():
        return None
    path = run_folder() / "hub.log"
    path.touch(mode=0o600)
    if path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name("hub.log.1"))
        path.touch(mode=0o600)
    return path


def _is_terminal() -> bool:
    return sys.stderr.isatty()


def _demo(running: list[child_processes.Child], stop: threading.Event, port: int) -> None:
    from core.cli import demo, demo_feed

    if child_processes.await_answer((SANDBOX_HOST, port, "/"), running, stop):
        made = demo.connect(f"http://{SANDBOX_HOST}:{port}")
        if made:
            say(f"Imported the sample records and connected {', '.join(made)}; their week before is made up.")
        moved = demo.repoint(f"http://{SANDBOX_HOST}:{port}")
        if moved:
            say(f"The sandbox has port {port} now: changed the address of {', '.join(moved)}.")
        demo_feed.start(stop)


def _banner(ready: Ready, sandbox_port: int | None, log: Path | None) -> str:
    from core.platform.settings import settings

    lines = ["", f"  FootprintIQ hub is running at {settings().public_url}", f"  {ready.sign_in}"]
    if sandbox_port is not None:
        lines.append(f"  The sandbox shows what it received at http://{SANDBOX_HOST}:{sandbox_port}")
        allowed = shlex.quote(settings().egress_allow)
        lines.append(f"  In another terminal first: export HUB_EGRESS_ALLOW={allowed}{_exports()}")
        lines.append(
            "  Its page has a ready-made `hub connect` for each of the fifteen, and buttons for trouble."
        )
    lines += ready.connections
    where = [f"  Log lines go to {log}."] if log else []
    return "\n".join([*lines, *where, "  Ctrl-C stops everything.", ""])


def _connections() -> list[str]:
    from core import access, connections

    views = connections.list_views(access.LOCAL)
    if views:
        return _lost_sandbox([view.name for view in views])
    return [
        "  No connections yet: `hub connect` makes one; `make demo` instead shows the hub with sample data."
    ]


def _lost_sandbox(names: list[str]) -> list[str]:
    """A line about connections of the demo, which fail while their sandbox does not run."""
    from core.cli import demo

    left = set(names) & set(demo.wanted())
    if not left:
        return []
    whose = counted(len(left), "Sandbox connection is", "Sandbox connections are")
    return [f"  The {whose} the demo's: run `make demo` for their sandbox, or delete them."]


def _exports() -> str:
    """What another terminal needs besides: the port, for it is in the links of what a terminal sends."""
    from core.platform.settings import Settings, settings

    port = settings().port
    return "" if port == Settings.model_fields["port"].default else f" HUB_PORT={port}"


def _sign_in(made: Made) -> str:
    if made.password:
        return f"Sign in as {made.admin} with the password {made.password.reveal()} (not shown again)."
    if made.is_given:
        return f"Sign in as {made.admin} with the password in HUB_ADMIN_PASSWORD."
    if not made.admin:
        return "No admin may sign in: make one with `hub user add EMAIL --role admin`."
    return f"Sign in as {made.admin}; a forgotten password: `hub user password {made.admin}`"


def _text(path: Path | None) -> str | None:
    return str(path) if path else None


def _sandbox_command(port: int, mail_port: int, journal: Path) -> tuple[str, ...]:
    ports = ("--port", str(port), "--smtp-port", str(mail_port))
    return (*HUB, "sandbox", "--quiet", *ports, "--journal", str(journal))


def _choose(host: str | None, port: int | None) -> None:
    """What the command line says goes before the environment, here and in the children."""
    if host is not None:
        _set("HUB_HOST", host)
    if port is not None:
        _set("HUB_PORT", str(port))


def _allow(target: str) -> None:
    """Let calls reach the sandbox, here and in the children, besides what the environment allows."""
    from core.platform.settings import settings

    allowed = [part for part in settings().egress_allow.split(",") if part.strip()]
    if target not in [part.strip() for part in allowed]:
        _set("HUB_EGRESS_ALLOW", ",".join([*allowed, target]))


def _check_egress() -> None:
    """Raises Unusable now for a HUB_EGRESS_ALLOW that would fail every call later."""
    from core.integrations import client

    client.egress()


def _set(name: str, value: str) -> None:
    from core.platform.settings import settings

    os.environ[name] = value
    settings.cache_clear()
