"""`hub up`: real processes on free ports, from the first start to nothing left running."""

import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.cli import child_processes
from core.cli.processes import MAIL_ABOVE
from core.platform.errors import Invalid, Unusable
from tests.support.live import reserved_port
from tests.support.terminal import Hub

START_S, DELIVER_S, STOP_S = 60.0, 60.0, 11.0
SANDBOXED = ("Sandbox Jira", "Sandbox Slack", "Sandbox Splunk")
AWAY = "Sandbox Elasticsearch"  # for its first calls


class Up:
    """One running `hub up`, its output in a file."""

    def __init__(self, hub: Hub, *options: str) -> None:
        self.hub = hub
        self.seen: set[int] = set()
        self.log = hub.folder / f"up-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "core.cli", "up", *options],
                cwd=hub.folder,
                env=hub.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def running(self) -> "Up":
        until(lambda: "is running at" in self.said or self.process.poll() is not None, START_S, self)
        assert self.process.poll() is None, self.said
        return self

    def descendants(self) -> set[int]:
        listed = subprocess.run(
            ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
        ).stdout
        parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listed.splitlines())}
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        self.seen |= found - {self.process.pid}
        return found - {self.process.pid}

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_S)


def until(condition: Callable[[], object], within_s: float, up: Up) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, up.said
        time.sleep(0.1)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")  # a zombie runs nothing


def sandbox_port() -> str:
    """One whose neighbour, which the mail takes, is nobody's either."""
    while True:
        port = reserved_port()
        with contextlib.suppress(OSError, OverflowError):
            reserved_port(port + MAIL_ABOVE)
            return str(port)


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    made = Hub(tmp_path)
    made.env |= {"HUB_PORT": str(reserved_port()), "HUB_LOG_FORMAT": "json"}
    return made


@pytest.fixture
def start(hub: Hub) -> Iterator[Callable[..., Up]]:
    """Starts `hub up`, and ends what a failed test left."""
    started: list[Up] = []

    def begin(*options: str) -> Up:
        reserved_port(int(hub.env["HUB_PORT"]))  # an earlier start gave it back
        started.append(Up(hub, *options))
        return started[-1]

    yield begin
    for up in started:
        if up.process.poll() is None:
            up.descendants()
            up.process.kill()
            up.process.wait()
        for pid in filter(is_alive, up.seen):
            os.kill(pid, signal.SIGKILL)


def test_the_demo_delivers_to_all_three_vendors_stops_whole_and_goes_on(
    hub: Hub, start: Callable[..., Up]
) -> None:
    demo = ("--demo", "--sandbox-port", sandbox_port())
    up = start(*demo).running()
    assert f"http://127.0.0.1:{hub.env['HUB_PORT']}" in up.said
    password = re.search(r"admin@hub.local with the password (\S+)", up.said)
    assert password

    def delivered() -> dict[str, int]:
        rows = json.loads(hub.done("deliveries", "--state", "delivered", "--limit", "500", "--json"))
        return {name: sum(row["connection"] == name for row in rows) for name in SANDBOXED}

    until(lambda: all(delivered().values()), DELIVER_S, up)

    def that_ran() -> set[str]:
        return {run["connection"] for run in json.loads(hub.done("logs", "--json"))}

    until(lambda: that_ran() == {*SANDBOXED, AWAY}, DELIVER_S, up)
    views = json.loads(hub.done("connections", "--json"))
    every = {view["name"]: view["options"]["every"] for view in views}
    assert every == dict.fromkeys({*SANDBOXED, AWAY}, "1m")

    children = up.descendants()
    assert len(children) >= 3
    assert up.stop() == 0
    assert [pid for pid in children if is_alive(pid)] == []
    assert '"event": "stopping"' in up.said  # the scheduler was asked before it could be killed
    before = delivered()

    assert up.said.count(password[1]) == 1
    assert f"export HUB_EGRESS_ALLOW=127.0.0.1:{demo[-1]}" in up.said
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (hub.folder / "run").iterdir()}
    assert modes["sandbox.ndjson"] == 0o600
    assert set(modes.values()) == {0o600}

    moved = sandbox_port()
    again = start("--demo", "--sandbox-port", moved).running()
    assert f"port {moved} now: changed the address of" in again.said
    [splunk] = [v for v in json.loads(hub.done("connections", "--json")) if v["slug"] == "splunk"]
    assert splunk["config"]["url"] == f"http://127.0.0.1:{moved}/splunk"
    assert password[1] not in again.said
    assert "hub user password" in again.said
    assert {view["id"] for view in json.loads(hub.done("connections", "--json"))} == {v["id"] for v in views}
    assert all(now >= before[name] for name, now in delivered().items())
    assert again.stop(signal.SIGTERM) == 0

    without = start().running()
    assert re.search(r"The \d+ Sandbox connections are the demo's: run `make demo`", without.said)
    assert "changed the address" not in without.said
    assert without.stop() == 0


def test_an_empty_hub_says_how_to_get_the_demo_and_a_second_one_is_refused(
    hub: Hub, start: Callable[..., Up]
) -> None:
    up = start().running()
    assert "make demo" in up.said
    second = hub.process("up")
    assert second.returncode == 1
    assert str(up.process.pid) in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1
    assert up.stop() == 0


def test_a_port_in_use_is_one_sentence_and_leaves_nothing_behind(hub: Hub) -> None:
    with socket.create_server(("127.0.0.1", int(hub.env["HUB_PORT"]))):
        refused = hub.process("up")
    assert refused.returncode == 1
    assert hub.env["HUB_PORT"] in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not (hub.folder / "hub.db").exists()


def test_when_a_child_dies_everything_stops_and_the_exit_code_says_so(
    hub: Hub, start: Callable[..., Up]
) -> None:
    up = start().running()
    children = up.descendants()
    os.kill(max(children), signal.SIGKILL)
    assert up.process.wait(STOP_S) == 1
    assert "ended by itself" in up.said
    assert "Traceback" not in up.said
    assert [pid for pid in children if is_alive(pid)] == []


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells children of a killed parent"
)
def test_children_do_not_outlive_a_parent_that_was_killed(hub: Hub, start: Callable[..., Up]) -> None:
    up = start().running()
    children = up.descendants()
    up.process.kill()
    up.process.wait(STOP_S)
    until(lambda: not any(is_alive(pid) for pid in children), STOP_S, up)
    assert start().running().stop() == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="maps are Linux's")
def test_who_watches_the_others_holds_no_database(start: Callable[..., Up]) -> None:
    """What is needed once, before the start, is loaded by a process that ends."""
    up = start().running()
    lines = Path(f"/proc/{up.process.pid}/maps").read_text().splitlines()
    extensions = {Path(line.split()[-1]).name.partition(".")[0] for line in lines if ".so" in line}
    assert "_socket" in extensions
    assert not extensions & {"_sqlite3", "orjson", "_rust"}
    assert up.stop(signal.SIGTERM) == 0


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is called here elsewhere")
def test_what_is_called_apart_answers_raises_and_ends() -> None:
    here = os.getpid()
    there = child_processes.apart(os.getpid)
    assert there != here
    assert not is_alive(there)
    with pytest.raises(Invalid, match="No such thing") as caught:
        child_processes.apart(_raise, Invalid("No such thing.", {"port": "is none"}))
    assert caught.value.fields == {"port": "is none"}
    assert "_raise" in caught.value.__notes__[0]  # where it was, for the file that a person may be sent to
    with pytest.raises(Unusable, match="broken off from outside"):
        child_processes.apart(os._exit, 9)
