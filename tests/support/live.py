"""A hub's web server in a process of its own, started from another folder, as an operator would."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
EMAIL, PASSWORD = "ana@example.org", "a long enough one"


@dataclass(frozen=True)
class Live:
    url: str
    port: int
    log: Path

    @contextmanager
    def client(self, *, signed_in: bool = False) -> Iterator[httpx.Client]:
        with httpx.Client(
            base_url=self.url, trust_env=False, timeout=30, headers={"Origin": self.url}
        ) as client:
            if signed_in:
                answer = client.post("/auth/login", data={"email": EMAIL, "password": PASSWORD})
                assert answer.status_code == 303, answer.text
            yield client


def reserved_port(wanted: int = 0) -> int:
    """A port on which nobody listens, and which the system gives to nobody else for the next minute.

    A port that was only looked for is another test's when the server that was meant for it starts. After a
    connection that this side ended, TCP keeps its port back (TIME_WAIT) from all but those that ask for it by number
    and with SO_REUSEADDR, as servers do. OSError when somebody listens on the one that is wanted.
    """
    with socket.create_server(("127.0.0.1", wanted)) as listening:
        port: int = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as peer:
            listening.accept()[0].close()
            peer.recv(1)
    return port


@contextmanager
def served(database_url: str, folder: Path, **variables: str) -> Iterator[Live]:
    """Waits until it answers; ends with SIGTERM, which must be enough."""
    port, log = reserved_port(), folder / "server.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HUB_")},
        "PYTHONPATH": str(ROOT),
        "HUB_DATABASE_URL": database_url,
        "HUB_PORT": str(port),
        **variables,
    }
    code = f"from core.web import serve; serve('127.0.0.1', {port})"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=folder, env=environment, stdout=output, stderr=output
        )
        live = Live(f"http://127.0.0.1:{port}", port, log)
        try:
            wait_until_alive(live, process)
            yield live
        finally:
            process.terminate()
            process.wait(timeout=30)


def wait_until_alive(live: Live, process: subprocess.Popen[bytes], patience_s: float = 90) -> None:
    until = time.monotonic() + patience_s
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{live.url}/healthz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"the server did not come up: {live.log.read_text()}")


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def until(condition: Callable[[], bool], sentence: str, limit_s: float = 60.0) -> None:
    """Wait for `condition`; the machine may be busy. Fails with `sentence`."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, sentence
        time.sleep(0.02)
