"""The contract of a connector: what it is given, what it must answer. How a call can fail: `core.http.errors`.

A connector is synchronous and touches no database, settings, clock, log or sleep. HTTP comes with
deadlines, size caps and the faults above already raised: `self.http.post(...)` returns a 2xx answer or
raises. Retrying, waiting and counting are elsewhere.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from io import BufferedReader
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self

import orjson
from typing_extensions import TypeVar

from core.http.errors import DeliveryError, Stage

if TYPE_CHECKING:
    import httpx
    from _typeshed import DataclassInstance


@dataclass(frozen=True, slots=True)
class Item:
    """One record on its way: `key` is stable over every retry, `payload` the mapped body as JSON text."""

    key: str
    payload: str

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = orjson.loads(self.payload)
        return body


class CaseStatus(StrEnum):
    """A case's status; a ticket's, whatever its tracker calls it."""

    OPEN = "open"
    IN_PROGRESS = "in_progress"
    RESOLVED = "resolved"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket in the tracker: `id` is what people call it (SEC-12).

    `status` and `priority` are the tracker's own words, the second spelt as in the manifest's [severity]; None where
    it has none or did not say. `stage` is what the status means.
    """

    id: str
    url: str | None = None
    status: str | None = None
    stage: CaseStatus = CaseStatus.OPEN
    priority: Any = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one item. `fault` None means delivered (in the manifest's sense of the word)."""

    key: str
    vendor_id: str | None = None
    ticket: Ticket | None = None  # of a tracker
    fault: DeliveryError | None = None

    @classmethod
    def of(cls, key: str, ticket: Ticket) -> Self:
        return cls(key, vendor_id=ticket.id, ticket=ticket)


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a connection test. `ok` None = could not be proven without a side effect; `text` says so.

    `warning`: it works, and a person should know how (`ok` is None, too).
    """

    name: Stage
    ok: bool | None
    text: str
    warning: bool = False


class Tokens(Protocol):
    """The access token of this connection's credentials, shared by its runs in this process."""

    def get(self) -> str | None: ...

    def keep(self, token: str, lasts_s: float) -> None: ...

    def drop(self, token: str) -> None: ...


class Line(Protocol):
    """An open connection with the methods of a socket that `smtplib` uses. Its faults are OSErrors."""

    def sendall(self, data: bytes) -> None: ...

    def makefile(self, mode: str) -> BufferedReader: ...

    def start_tls(self, host: str) -> None:
        """Encrypt from here on, as the connection's rules ask. Raises Misconfigured or Unavailable."""

    def close(self) -> None: ...


class Tools(Protocol):
    """What a connector may ask for besides HTTP."""

    def now(self) -> datetime: ...

    @property
    def tokens(self) -> Tokens: ...

    def dial(self, host: str, port: int, timeout_s: float, content: bytes, *, plain: bool) -> Line:
        """A line to a mail server on which `content` will be sent; it ends after `timeout_s` in all.

        `plain`: nothing will be encrypted. Raises Unavailable or Misconfigured; in a preview, a fault that
        shows `content` instead.
        """

    def heard(self, status: int | None, answer: str) -> str:
        """Keep with the attempt what came back on that line; returns it without secrets."""


#: a connector's own Config; where it does not matter whose, nothing is said
C = TypeVar("C", bound="DataclassInstance", default=Any)


class Connector(ABC, Generic[C]):
    """One vendor. `Config` is a frozen dataclass whose fields are the manifest's [config]; secrets are `Secret`."""

    Config: ClassVar[type]
    #: statuses that mean something else with this vendor than in `core.http`
    faults: ClassVar[Mapping[int, type[DeliveryError]]] = {}

    def __init__(self, config: C, http: "httpx.Client", tools: Tools) -> None:
        self.config = config
        self.http = http
        self.tools = tools

    @abstractmethod
    def check(self) -> Iterator[Step]:
        """Test the connection in stages, without side effects. A raised fault ends the test as its last step."""

    @abstractmethod
    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        """Send `items`, yielding each receipt as soon as it is known. A raised fault settles all items left."""


class Tracker(Connector[C]):
    """A ticketing connector: it can look for what it may have created."""

    @abstractmethod
    def find(self, key: str) -> Ticket | None:
        """The ticket created for `key` in the project or table of this config, or None.

        Asked before a second create; also under other keys than the row's, which the case went out with before.
        """

    def at(self, **elsewhere: str) -> Self:
        """The same tracker in another project or table of its site: where a ticket was sent before an edit."""
        return type(self)(replace(self.config, **elsewhere), self.http, self.tools)
