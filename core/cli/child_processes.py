"""Child processes: started in their own group, watched together, stopped together within ten seconds."""

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from core.platform.errors import Conflict, Unusable

P = ParamSpec("P")
T = TypeVar("T")
#: SIGTERM, then this long until SIGKILL; the scheduler gives a vendor call 8 s to end, and leaves it in doubt
STOP_WITHIN_S = 9.5
POLL_S = 0.1
_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path | None = None  # where its lines go; None: where ours go

    @property
    def last_lines(self) -> str:
        return f"The last lines of {self.log} say" if self.log else "Its last lines above say"


def start(name: str, command: Sequence[str], log: Path | None = None) -> Child:
    """In its own process group: Ctrl-C reaches `hub up` alone, which stops its children in order."""
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(log.open("ab")) if log else None
        process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            process_group=0,
            preexec_fn=_die_with_parent(),
        )
    return Child(name, process, log)


def apart(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Call `work` in a process that ends with it: what it loads is not kept here. Raises what it raises.

    What is returned is pickled. It is a fork, which is safe of a process without threads; elsewhere than on Linux it is
    called here. It ends also where this process was killed, and with it its share in our lock.
    """
    if not sys.platform.startswith("linux"):
        return work(*given, **named)
    from multiprocessing import get_context  # slow to import, and one command uses it

    def answer() -> None:
        try:
            theirs.send((work(*given, **named), None))
        except Exception as error:  # noqa: BLE001 - raised again over there, where a person is told
            error.add_note(traceback.format_exc())
            theirs.send((None, error))

    ours, theirs = get_context("fork").Pipe(duplex=False)
    process = get_context("fork").Process(target=answer)
    process.start()
    theirs.close()
    try:
        done, error = ours.recv()
    except EOFError:
        raise Unusable("The start was broken off from outside. Start again.") from None
    finally:
        process.join()
    if error is not None:
        raise error
    result: T = done
    return result


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux the kernel stops a child whose parent was killed with -9; elsewhere it would live on."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask


def stop(children: Sequence[Child]) -> None:
    """Ask all to end, wait, then kill what is left, grandchildren included."""
    for child in reversed(children):
        _signal(child, signal.SIGTERM)
    deadline = time.monotonic() + STOP_WITHIN_S
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.0, deadline - time.monotonic()))
        _signal(child, signal.SIGKILL)
        child.process.wait()


def _signal(child: Child, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)


@contextlib.contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM and a closed terminal set."""
    event = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: event.set()) for number in numbers}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def watch(children: Sequence[Child], stop_event: threading.Event) -> None:
    """Return when a stop was asked for. Raises Unusable when a child ended by itself."""
    while not stop_event.wait(POLL_S):
        check(children)


def check(children: Sequence[Child]) -> None:
    for child in children:
        code = child.process.poll()
        if code is not None:
            raise Unusable(
                f"The {child.name} ended by itself ({_ending(code)}); everything was stopped. "
                f"{child.last_lines} why; then start again."
            )


def _ending(code: int) -> str:
    return f"exit {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def await_answer(
    url: tuple[str, int, str], children: Sequence[Child], stop_event: threading.Event, within_s: float = 60
) -> bool:
    """Until GET is answered; False when a stop was asked for first. Raises Unusable after `within_s`."""
    host, port, path = url
    deadline = time.monotonic() + within_s
    while not stop_event.wait(POLL_S):
        check(children)
        if answers(host, port, path):
            return True
        if time.monotonic() > deadline:
            raise Unusable(
                f"Nothing answered at {host}:{port}{path} within {within_s:.0f} s. "
                f"{children[-1].last_lines} why."
            )
    return False


def answers(host: str, port: int, path: str) -> bool:
    import http.client  # no other command asks anybody

    connection = http.client.HTTPConnection(reachable(host), port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def reachable(host: str) -> str:
    """Where this machine finds a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not listened on


def require_free(host: str, port: int, option: str) -> None:
    """Raises Unusable when somebody listens there, or when this machine has no such address."""
    try:
        _bind(host, port)
    except OSError as error:
        raise Unusable(
            f"Port {port} on {host} cannot be used ({error.strerror}). "
            f"Stop the program that uses it, or choose another with {option}."
        ) from None


def free_port(host: str, wanted: int) -> int:
    """`wanted` if nobody listens there, else another that is free now."""
    try:
        return _bind(host, wanted)
    except (OSError, OverflowError):  # taken, or beyond the last port
        return _bind(host, 0)


def _bind(host: str, port: int) -> int:
    """Take the port and give it back; which one it was."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`. Raises Conflict with the holder's process id."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(handle, 20).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise Conflict(
            f"`hub up` already runs here (process {pid}). Use that one, or stop it with: kill {pid}"
        ) from None
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    try:
        yield
    finally:
        os.close(handle)  # closing gives the lock back, also when the process is killed
