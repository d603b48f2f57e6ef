"""Others that send the same: each takes bodies from a file, one a line, and sends them to the sink.

    python -m bench.peers NAME PORT FILE        prints {"seconds": …, "cpu_s": …}
    python -m bench.peers --unpack              Debian's syslog-ng into .venv/peers, nothing is installed

In a process of its own each, so that its processor time is its own. Modules are read and the file is in memory before
the clock starts; the connection is opened after it.
"""

import contextlib
import importlib.util
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import orjson

BATCH = 500
SPLUNK_HANDLER_S = 0.01  # its shortest useful pause between two requests
EVENT = "/services/collector/event"
UNPACKED = Path(sys.prefix) / "peers"
PACKAGES = ("syslog-ng-core", "syslog-ng-mod-http")
MISSING = "not installed here: make bench-peers"


def is_installed(name: str) -> bool:
    """Whether this peer can take part: a package of the `bench` extra, or syslog-ng."""
    if name == "syslog-ng":
        return _syslog_ng() is not None
    return importlib.util.find_spec(name.replace("-", "_")) is not None


# --- by Python ------------------------------------------------------------------------------------


def raw(port: int, lines: list[bytes]) -> None:
    """The limit: orjson, and a socket that asks no more than whether an answer came."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        for start in range(0, len(lines), BATCH):
            events = b"\n".join(orjson.dumps(orjson.loads(each)) for each in lines[start : start + BATCH])
            head = f"POST {EVENT} HTTP/1.1\r\nHost: sink\r\nContent-Length: {len(events)}\r\n\r\n"
            line.sendall(head.encode() + events)
            line.recv(4096)


def one_client(port: int, lines: list[bytes]) -> None:
    """The limit of one message per request with httpx: one client, one call after the other, nothing kept."""
    with httpx.Client(trust_env=False, headers={"Content-Type": "application/json"}) as client:
        for body in lines:
            client.post(f"http://127.0.0.1:{port}/hook", content=body).raise_for_status()


def apprise(port: int, lines: list[bytes]) -> Callable[[], None]:
    import apprise as library

    logging.disable()
    out = library.Apprise()
    out.add(f"json://127.0.0.1:{port}/hook")
    texts = [line.decode() for line in lines]

    def send() -> None:
        for text in texts:
            if not out.notify(body=text, title="alert"):
                raise SystemExit("Apprise could not send.")

    return send


def splunk_handler(port: int, lines: list[bytes]) -> Callable[[], None]:
    from splunk_handler import SplunkHandler

    logger = logging.getLogger("bench")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    texts = [orjson.dumps(orjson.loads(line)["event"]).decode() for line in lines]
    handler = SplunkHandler(
        "127.0.0.1", port, "token", "main", protocol="http", verify=False, queue_size=0,
        flush_interval=SPLUNK_HANDLER_S,
    )  # fmt: skip
    logger.addHandler(handler)

    def send() -> None:
        for text in texts:
            logger.info("%s", text)
        handler.wait_until_empty()

    return send


LIMITS = ("raw", "httpx")
READY: dict[str, Callable[[int, list[bytes]], Callable[[], None]]] = {
    "raw": lambda port, lines: lambda: raw(port, lines),
    "httpx": lambda port, lines: lambda: one_client(port, lines),
    "apprise": apprise,
    "splunk-handler": splunk_handler,
}


def run(name: str, port: int, file: Path) -> None:
    lines = file.read_bytes().splitlines()
    send = READY[name](port, lines)
    began, cpu = time.perf_counter(), time.process_time()
    send()
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}))


# --- syslog-ng ------------------------------------------------------------------------------------

CONFIG = """
@version: 3.38
options {{ stats-freq(0); mark-freq(0); }};
source s {{ network(ip(127.0.0.1) port({listen}) transport(tcp) flags(no-parse) log-msg-size(65536)
            log-fetch-limit(1000) log-iw-size(20000)); }};
destination d {{ http(url("http://127.0.0.1:{port}{path}") method("POST") headers("Content-Type: application/json")
            body("$MSG") delimiter("\\n") batch-lines({batch}) batch-bytes(0) batch-timeout(50) workers(1)
            persist-name("bench") log-fifo-size(100000)
            disk-buffer(reliable(yes) disk-buf-size(1073741824) mem-buf-size(67108864) dir("{folder}"))); }};
log {{ source(s); destination(d); flags(flow-control); }};
"""


@contextlib.contextmanager
def syslog_ng(port: int, batch: int) -> Iterator[tuple[int, int]]:
    """syslog-ng with a reliable disk buffer, one worker: the port that takes lines, and its process."""
    found = _syslog_ng()
    assert found is not None
    program, root = found
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        listen, path = _free_port(), EVENT
        config = Path(folder, "syslog-ng.conf")
        config.write_text(CONFIG.format(listen=listen, port=port, path=path, batch=batch, folder=folder))
        own = [f"--{name}={folder}/{name}" for name in ("persist-file", "pidfile", "control")]
        where, environment = [], dict(os.environ)
        if root is not None:
            where = [f"--module-path={next(root.glob('usr/lib/syslog-ng/*.*/'))}"]
            libraries = [
                *root.glob("usr/lib/*-linux-gnu"),
                *root.glob("lib/*-linux-gnu"),
                root / "usr/lib/syslog-ng",
            ]
            environment["LD_LIBRARY_PATH"] = ":".join(map(str, libraries))
        command = [str(program), "-F", "--no-caps", f"--cfgfile={config}", *own, *where]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        try:
            _until_it_listens(listen, process)
            yield listen, process.pid
        finally:
            process.terminate()
            process.wait(30)


def feed(listen: int, lines: list[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", listen)) as line:
        line.sendall(b"\n".join(lines) + b"\n")


def _until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            said = process.stderr.read().decode() if process.stderr else ""
            raise SystemExit(f"syslog-ng did not start: {said}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit("syslog-ng does not listen.")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


def _syslog_ng() -> tuple[Path, Path | None] | None:
    """The program, and the folder into which it was unpacked; None where there is none."""
    unpacked = UNPACKED / "usr" / "sbin" / "syslog-ng"
    if unpacked.exists():
        return unpacked, UNPACKED
    installed = shutil.which("syslog-ng", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return (Path(installed), None) if installed else None


def unpack() -> None:
    """Debian's packages, unpacked into the virtual environment: nothing is installed, and nothing is started."""
    tools = [shutil.which(tool) for tool in ("apt-get", "dpkg-deb")]
    if not all(tools):
        raise SystemExit("syslog-ng stays out: this is no Debian. Install it by your own system's packages.")
    planned = subprocess.run(
        ["apt-get", "install", "-s", "--no-install-recommends", *PACKAGES], capture_output=True, text=True
    )
    names = [line.split()[1] for line in planned.stdout.splitlines() if line.startswith("Inst ")]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["apt-get", "download", *(names or PACKAGES)], cwd=folder, check=True)
        for package in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(UNPACKED)], check=True)
    print(f"syslog-ng is unpacked in {UNPACKED}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--unpack"]:
        unpack()
    else:
        run(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
