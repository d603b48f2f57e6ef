"""The processes of a run, seen from the test: started, told to stop or die, and heard, through the fork server."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.crash.roles import Order, Setup

ROOT = Path(__file__).parents[2]
START_S = 60


@dataclass
class Child:
    """One process. `until` is when the test acts on it next, in monotonic seconds."""

    order: Order
    pid: int
    until: float
    stopped: bool = False
    met: bool = False


class Crew:
    def __init__(self, setup: Setup) -> None:
        self.unread = b""
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.forks"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._tell(asdict(setup))
        assert any("ready" in word for word in self.hear(START_S)), "the fork server did not start"

    def start(self, order: Order) -> None:
        self._tell(asdict(order))

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        self._tell({"pid": pid, "signal": number})

    def hear(self, timeout_s: float) -> list[dict[str, Any]]:
        """What was said meanwhile; at once when there is something."""
        assert self.server.stdout is not None
        ready, _, _ = select.select([self.server.stdout], [], [], max(0.0, timeout_s))
        if not ready:
            return []
        data = os.read(self.server.stdout.fileno(), 1 << 20)
        assert data, "the fork server has ended"
        *lines, self.unread = (self.unread + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def end(self) -> None:
        """The server ends its children when nobody talks to it any more."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.close()
        try:
            self.server.wait(10)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.server.stdout.close()

    def _tell(self, words: dict[str, Any]) -> None:
        assert self.server.stdin is not None
        self.server.stdin.write(json.dumps(words).encode() + b"\n")
        self.server.stdin.flush()


def soon(seconds: float) -> float:
    return time.monotonic() + seconds
