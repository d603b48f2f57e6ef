"""Local stand-ins of the vendors: strict where they are, they keep what they accept and fail when asked to.

One loopback port, a path per vendor; mail has a port of its own, if one is given. A further vendor is a
folder: `vendors/<slug>/stand_in.py` with its `Vendor`.
"""

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.contract import Accepted
from sandbox.faults import SECONDS, Fault
from sandbox.http_server import Port
from sandbox.journal import Arrivals
from sandbox.routes import Terminal, connect_line, handle
from sandbox.state import SandboxState
from sandbox.vendors import over_http
from sandbox.vendors.email.mail_server import Mailroom
from sandbox.vendors.email.stand_in import Email

__all__ = ["DEFAULT_PORT", "VENDORS", "Accepted", "Sandbox", "serve"]

#: those on the HTTP port, by name
VENDORS = over_http()
DEFAULT_PORT = 8600


class Sandbox:
    """All stand-ins on one port; port 0 takes a free one. As a context manager it is started and stopped.

    The port is taken at once: OSError, in a sentence, if somebody else has it; ValueError for a host that is
    not loopback or a journal that is none. `index_lag_s` is how long a search misses what was just created.
    `smtp_port` adds a mail server there.
    `hub` is how the program is called in the commands that are shown, and `exports` what their terminal needs
    besides the sandbox's addresses, like ` HUB_PORT=8502`.
    """

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        journal: Path | None = None,
        *,
        index_lag_s: float = 0.0,
        smtp_port: int | None = None,
        hub: str = "hub",
        exports: str = "",
    ) -> None:
        self._port = Port(host, port, lambda request: self._handle(request))
        self.url = f"http://{self._port.server_name}:{self._port.server_port}"
        self._mailroom: Mailroom | None = None
        try:
            self._mailroom = None if smtp_port is None else Mailroom(host, smtp_port)
            mail = () if self._mailroom is None else (Email(self._mailroom.port),)
            self._state = SandboxState((*VENDORS, *mail), Arrivals(journal), index_lag_s)
        except BaseException:
            self._port.server_close()
            if self._mailroom is not None:
                self._mailroom.stop()
            raise
        self._terminal = Terminal(hub, f"export HUB_EGRESS_ALLOW={','.join(self._addresses())}{exports}")
        self._handle = partial(handle, self._state, self.url, self._terminal)
        self._thread: threading.Thread | None = None

    @property
    def slugs(self) -> list[str]:
        """The vendors that stand here."""
        return list(self._state.vendors)

    @property
    def open_connections(self) -> int:
        """Clients that are connected; 0 means that everything that was sent has been dealt with."""
        return len(self._port.open)

    def start(self) -> None:
        """Answer from now on, in threads of its own."""
        self._thread = threading.Thread(
            target=self._port.serve_forever, args=(0.01,), name="sandbox", daemon=True
        )
        self._thread.start()
        if self._mailroom is not None:
            self._mailroom.start(self._state)

    def stop(self) -> None:
        """Give the port back and end every open connection; what was accepted can still be read."""
        if self._mailroom is not None:
            self._mailroom.stop()
        if self._thread is not None:
            self._port.shutdown()
            self._thread.join()
            self._thread = None
        self._port.server_close()
        self._port.hang_up()
        self._state.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def accepted(self, vendor: str | None = None) -> list[Accepted]:
        """What arrived, oldest first."""
        return self._state.accepted(vendor)

    def fault(
        self,
        vendor: str,
        name: str,
        *,
        times: int | None = None,
        share: float | None = None,
        seed: int = 0,
        seconds: float = SECONDS,
    ) -> None:
        """Ask for trouble: `times` requests, a `share` of them, or all until cleared. ValueError if unknown.

        `seconds` is how late `slow` answers and what 429 and 503 put into Retry-After.
        """
        self._state.set_fault(Fault(vendor, name, times, share, seed, seconds))

    def clear_faults(self, vendor: str | None = None) -> None:
        self._state.clear_faults(vendor)

    def set_index_lag(self, seconds: float) -> None:
        """From now on a search sees only what is older than this."""
        self._state.index_lag_s = seconds

    def credentials(self, slug: str) -> dict[str, str]:
        """What a connection to this stand-in is configured with, secrets included."""
        return self._state.vendors[slug].credentials(f"{self.url}/{slug}")

    def _addresses(self) -> list[str]:
        """Host and port of each of its servers."""
        ports = [self._port.server_port, *([self._mailroom.port] if self._mailroom else [])]
        return [f"{self._port.server_name}:{port}" for port in ports]

    def export_line(self) -> str:
        """Return the command that lets a terminal's hub call it."""
        return self._terminal.export

    def connect_lines(self) -> list[str]:
        """A `hub connect` command per vendor."""
        return [
            connect_line(vendor, f"{self.url}/{vendor.slug}", self._terminal.hub)
            for vendor in self._state.vendors.values()
        ]


def serve(
    port: int = DEFAULT_PORT,
    journal: Path | None = None,
    ready: Callable[[Sandbox], None] = lambda sandbox: None,
    *,
    hub: str = "hub",
    exports: str = "",
    smtp_port: int | None = None,
) -> None:
    """Run until Ctrl-C; `ready` is called once, when the port answers."""
    running = Sandbox(port, journal=journal, hub=hub, exports=exports, smtp_port=smtp_port)
    with running as sandbox, contextlib.suppress(KeyboardInterrupt):
        ready(sandbox)
        threading.Event().wait()
