"""What people wait for first: the help, a short list, the first page of `hub up`; and what it keeps while idle.

    .venv/bin/python -m bench.start [--rounds 3]

What Python compiles is there, as after the first use. `hub up` is started in an empty folder: database, key and first
admin are made on the way. Its memory is read some seconds after the first page, of all its processes, shared pages
divided among them.
"""

import argparse
import compileall
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench import hubs, ours
from bench.processes import cpu_s, memory_mb
from core import connections
from core.access import LOCAL
from tests.support.live import reserved_port

HUB = (sys.executable, "-m", "core.cli")
ROOT = Path(__file__).parent.parent
CONNECTIONS = 20
IDLE_S = 8.0  # until what the start needed is given back
LIMIT_S = 90


@dataclass(frozen=True)
class Took:
    """Until the end of a command, or until the first page; of all its processes."""

    seconds: float
    cpu_s: float
    idle_mb: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    for _ in range(parser.parse_args().rounds):
        with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
            fill(Path(folder))
            print(python(), command("--help"), command("connections"), up(IDLE_S), sep="\n", end="\n\n")


def fill(folder: Path) -> None:
    """A hub with some connections; what is started from now on is this one's, and compiled."""
    hubs.new(folder)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for number in range(CONNECTIONS):
        values = ours.FLOWS["siem"].values("http://127.0.0.1:9")
        connections.create(LOCAL, "splunk", name=f"SOC {number}", values=values, options={"every": "1h"})
    compileall.compile_dir(ROOT / "core", quiet=2)
    compileall.compile_dir(ROOT / "sandbox", quiet=2)


def python() -> Took:
    """The limit: an interpreter that does nothing."""
    return _timed([sys.executable, "-c", ""])


def command(*words: str) -> Took:
    return _timed([*HUB, *words])


def _timed(command: list[str]) -> Took:
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    seconds, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(seconds, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime)


def up(idle_s: float) -> Took:
    """`hub up` in an empty folder, until its first page is there; then so long idle."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        own = {"HUB_DATABASE_URL": f"sqlite:///{folder}/hub.db", "HUB_SECRET_KEY_FILE": f"{folder}/hub.key"}
        port = reserved_port()
        began = time.perf_counter()
        with _up(os.environ | own, port) as process:
            _until_a_page(f"http://127.0.0.1:{port}/", process)
            seconds, used_s = time.perf_counter() - began, cpu_s(process.pid)
            time.sleep(idle_s)
            return Took(seconds, used_s, sum(memory_mb(process.pid).values()))


@contextmanager
def _up(environment: dict[str, str], port: int) -> Iterator["subprocess.Popen[bytes]"]:
    command = [*HUB, "up", "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _until_a_page(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, trust_env=False, follow_redirects=True).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    raise SystemExit("`hub up` showed no page.")


if __name__ == "__main__":
    main()
