"""What a stand-in of a vendor is: it gets a request, answers as the vendor would, and says what to keep."""

import hashlib
import json
import re
import shlex
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

BODY_BYTES_MAX = 6 * 1024 * 1024  # above the largest batch any connector sends (Security Hub: 6 MB a call)

#: the hub's delivery key, wherever a vendor's message carries it
KEY = re.compile(r"\bfiq-[a-z]+-[a-z0-9-]{1,70}[a-z0-9]")

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing a vendor takes in. `key` is the hub's own id of it; `vendor_id` what the vendor calls it."""

    key: str
    title: str
    severity: str
    body: Any
    vendor_id: str = ""
    mentions: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """A kept thing as it arrived: `number` counts over all vendors, `copy` is 2 when its key came again."""

    number: int
    vendor: str
    at: float  # epoch, seconds
    key: str
    copy: int
    title: str
    severity: str
    vendor_id: str
    mentions: int
    body: Any


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; `path` is what follows the vendor's prefix, header names are lower case.

    `base` is the vendor's address here, `arrived` what it has accepted so far, oldest first.
    `index_lag_s` is how long its search does not see what it has accepted.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base: str = ""
    at: float = 0.0
    arrived: Sequence[Accepted] = ()
    index_lag_s: float = 0.0

    def has_json_type(self) -> bool:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. `keep` is kept before it is sent, `reason` is for people and travels as a header.

    `wait_s` delays it; `cut` sends nothing at all: `close` ends the connection in order, `reset` breaks it.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json;charset=UTF-8"
    headers: Headers = field(default=())
    keep: tuple[Kept, ...] = ()
    reason: str = ""
    wait_s: float = 0.0
    cut: Literal["", "close", "reset"] = ""


class Vendor(ABC):
    """One stand-in. It holds no state: everything it needs is in the request."""

    slug: ClassVar[str]
    name: ClassVar[str]
    #: the names of those credentials that `hub connect` takes by --secret
    secrets: ClassVar[frozenset[str]]
    #: whether it has a path on the sandbox's HTTP port
    over_http: ClassVar[bool] = True

    @abstractmethod
    def credentials(self, base: str) -> dict[str, str]:
        """The configuration with which a connection reaches this stand-in at `base`."""

    @abstractmethod
    def answer(self, request: Request) -> Answer:
        """What the vendor answers to `request`."""

    @abstractmethod
    def refuse(self, status: int, retry_after_s: float) -> Answer:
        """The vendor's own answer for 401, 403, 429, 500 and 503, when one of them is asked for."""

    def shown(self, path: str, arrived: Sequence[Accepted]) -> Accepted | None:
        """What a person sees in a browser at `path`, the link that the vendor's answers carry."""
        return None

    def connect_line(self, base: str) -> str:
        """Under a name of its own: the demo has a "Sandbox Jira" already."""
        words = ["hub", "connect", self.slug, "--name", f"{self.name} in the sandbox"]
        for name, value in self.credentials(base).items():
            words += ["--secret" if name in self.secrets else "--set", f"{name}={value}"]
        return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    return f'"{word}"' if re.fullmatch(r"[\w .-]* [\w .-]*", word) else shlex.quote(word)


def json_answer(
    status: int, value: Any, *, headers: Headers = (), keep: tuple[Kept, ...] = (), reason: str = ""
) -> Answer:
    return Answer(status, json.dumps(value).encode(), headers=headers, keep=keep, reason=reason)


def text_answer(
    status: int, text: str, *, headers: Headers = (), keep: tuple[Kept, ...] = (), reason: str = ""
) -> Answer:
    return Answer(status, text.encode(), "text/plain; charset=utf-8", headers, keep, reason)


def html_answer(status: int, text: str, *, headers: Headers = ()) -> Answer:
    return Answer(status, text.encode(), "text/html; charset=utf-8", headers)


def read_json(body: bytes) -> Any:
    """The body as JSON; ValueError where it is none, and for NaN, which Python's reader would take."""
    try:
        return json.loads(body.decode(), parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def unpacked(request: Request) -> bytes:
    """The body without its Content-Encoding; ValueError where it is not gzip or does not fit in memory."""
    if request.headers.get("content-encoding", "identity").lower() != "gzip":
        return request.body
    reader = zlib.decompressobj(wbits=31)
    try:
        plain = reader.decompress(request.body, BODY_BYTES_MAX)
    except zlib.error as error:
        raise ValueError("the body is not gzip") from error
    if reader.unconsumed_tail or not reader.eof:
        raise ValueError("the gzip body is cut off or larger than 6 MiB")
    return plain


def key_in(text: str, body: Any) -> str:
    """The hub's key in `text`; without one, a digest by which equal bodies are known as copies."""
    found = KEY.search(text)
    if found:
        return found[0]
    return "body-" + hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]
