"""What a program loads before it does anything: counted in modules, because seconds say more of the machine."""

import subprocess
import sys

from tests.cli.test_cli import bare, hub, made
from tests.support.terminal import Hub

__all__ = ["bare", "hub", "made"]
PAGES = {"streamlit", "pandas", "numpy", "altair", "fastapi", "starlette", "uvicorn"}
DATABASE = {"sqlalchemy", "sqlmodel", "alembic", "psycopg"}
CALLS = {"httpx", "httpcore"}
CHECKS = {"jsonschema", "fastjsonschema"}
COMMAND = """
import sys
sys.argv = ["hub", *{words!r}]
from core.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""


def loaded(code: str, hub: Hub) -> set[str]:
    """The packages that a new process has loaded after `code`."""
    names = "print('LOADED', *{name.partition('.')[0] for name in sys.modules})"
    return set(said(f"import sys\n{code}\n{names}", hub).rpartition("LOADED")[2].split())


def said(script: str, hub: Hub) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=hub.folder,
        env=hub.env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def by_command(*words: str, hub: Hub) -> set[str]:
    return loaded(COMMAND.format(words=words), hub)


def test_the_help_opens_no_database_and_no_client(bare: Hub) -> None:
    found = by_command("--help", hub=bare)
    assert "typer" in found
    assert not found & (PAGES | DATABASE | CALLS | CHECKS | {"pydantic", "structlog", "cryptography"})


def test_a_list_of_connections_loads_neither_a_client_nor_what_migrates_or_checks(hub: Hub) -> None:
    found = by_command("connections", hub=hub)
    assert "sqlalchemy" in found
    assert not found & (PAGES | CALLS | CHECKS | {"alembic", "psycopg", "prometheus_client", "zxcvbn"})


def test_the_scheduler_loads_no_pages_and_nothing_that_migrates(bare: Hub) -> None:
    found = loaded("import scheduler", bare)
    assert {"apscheduler", "httpx"} <= found
    assert not found & (PAGES | CHECKS | {"alembic", "psycopg", "typer", "zxcvbn", "prometheus_client"})


def test_the_server_draws_nothing_before_somebody_asks(bare: Hub) -> None:
    found = loaded("from core.web.app import create_app; create_app()", bare)
    assert {"streamlit", "fastapi"} <= found
    assert not found & ({"pandas", "altair", "typer", "apscheduler"} | CHECKS | {"alembic", "psycopg"})


SERVING = """
import gc
from core import web
own = gc.get_threshold()
web.serve = lambda host, port: print("SERVED", gc.get_threshold() == own)
"""


def test_a_command_looks_for_garbage_rarely_and_the_server_as_ever(hub: Hub) -> None:
    check = "import core.cli, gc; assert gc.get_threshold() == core.cli.RARELY"
    loaded(f"{COMMAND.format(words=('connections',))}\n{check}", hub)
    assert "SERVED True" in said(f"{SERVING}\n{COMMAND.format(words=('serve',))}", hub)
