"""What bad neighbours cost: how long a connection's records take beside nine dead vendors, and beside twenty slow ones.

    .venv/bin/python -m bench.neighbours [--records 40]

A real scheduler process and realtime connections, each with every scan. Dead means: the connection is taken and
nothing is ever answered, so that each call lasts until its deadline of 20 s. Slow means: each call is answered well,
after 5 s, and the next records are there by then.
"""

import argparse
import socket
import statistics
import tempfile
import time
from pathlib import Path

from bench import hubs
from bench.realtime import measure, scheduler
from core import connections
from core.access import LOCAL
from sandbox import Sandbox
from scheduler import SLICE_S

NEIGHBOURS, SLOW = 9, 20
SLOW_S = 5
OPTIONS = {"realtime": True, "every": "10s", "batch_limit": 100}
CALL_S = 20  # until a call is given up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=40)
    count = parser.parse_args().records
    beside_dead(count)
    beside_slow(count)


def beside_dead(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Sandbox() as sandbox, silent() as dead:
        email = hubs.new(Path(folder))
        connect(sandbox, "Ours", sandbox.credentials("splunk")["url"])
        # the neighbours speak to a stand-in of their own, so that its arrivals are not taken for ours
        with Sandbox() as other:
            others = [connect(sandbox, f"Neighbour {n}", url_of(other)) for n in range(NEIGHBOURS)]
            with scheduler():
                well = measure(sandbox, email, count)
                for ref in others:
                    connections.edit(LOCAL, ref, values={"url": f"http://127.0.0.1:{dead}"})
                first = measure(sandbox, email, count // 2)
                time.sleep(CALL_S + 5)  # every neighbour has failed once by now
                later = measure(sandbox, email, count)
                failing = [view for view in connections.list_views(LOCAL) if view.failing_since]
                assert len(failing) == NEIGHBOURS, f"only {len(failing)} of the neighbours were dead"
    print(report("neighbours well", well, well))
    print(report("nine die", first, well))
    print(report("nine dead", later, well))


def beside_slow(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Sandbox() as sandbox, Sandbox() as other:
        email = hubs.new(Path(folder))
        connect(sandbox, "Ours", sandbox.credentials("splunk")["url"])
        for n in range(SLOW):
            connect(sandbox, f"Slow {n}", url_of(other))
        with scheduler():
            well = measure(sandbox, email, count)
            other.fault("splunk", "slow", seconds=SLOW_S)
            first = measure(sandbox, email, count // 2)
            time.sleep(2 * SLICE_S)  # every neighbour is known to be slow by now
            later = measure(sandbox, email, count)
    print(report("twenty well", well, well))
    print(report("they turn slow", first, well))
    print(report("twenty slow", later, well))


def url_of(sandbox: Sandbox) -> str:
    return sandbox.credentials("splunk")["url"]


def connect(sandbox: Sandbox, name: str, url: str) -> str:
    values = sandbox.credentials("splunk") | {"url": url}
    return connections.create(LOCAL, "splunk", name=name, values=values, options=OPTIONS)


class silent:
    """A port that takes connections and says nothing."""

    def __enter__(self) -> int:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        port: int = self.listener.getsockname()[1]
        return port

    def __exit__(self, *_: object) -> None:
        self.listener.close()


def report(weather: str, waits: list[float], well: list[float]) -> str:
    p50, p95 = at(waits, 50), at(waits, 95)
    ratios = f"{p50 / at(well, 50):.2f} and {p95 / at(well, 95):.2f} times as long"
    figures = f"p50 {p50:.2f} s, p95 {p95:.2f} s"
    return f"{weather:<15}  {len(waits):>3} records, stored → at the vendor: {figures} ({ratios})"


def at(waits: list[float], percent: int) -> float:
    return statistics.quantiles(waits, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    main()
