"""A vendor's answer, read whole and in bounded memory."""

import io
import zlib
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx
import orjson

#: decoded; also the most compressed bytes that are read
MAX_ANSWER_BYTES = 1024 * 1024
#: of a refusal, or of an answer that cannot be relied on: enough for the 64 Ki characters kept with a fault
KEPT_BYTES = 256 * 1024
STEP_BYTES = 64 * 1024
_TOO_LONG = "is longer than 1 MiB"


@dataclass(frozen=True, slots=True)
class Answer:
    """`flaw` says why the body cannot be relied on, in words that follow "the answer"; empty when it can."""

    status: int
    headers: httpx.Headers
    content: bytes
    bytes_in: int
    flaw: str = ""

    def start(self, most_bytes: int) -> tuple[str, bool]:
        """(the first bytes as text, whether that is all of a whole answer)."""
        # NUL is dropped because PostgreSQL does not store it.
        text = self.content[:most_bytes].decode("utf-8", "replace").replace("\x00", "")
        return text, not self.flaw and len(self.content) < most_bytes

    @property
    def media_type(self) -> str:
        return str(self.headers.get("content-type", "")).split(";")[0].strip().lower()

    def json(self) -> Any:
        try:
            return orjson.loads(self.content)
        except orjson.JSONDecodeError:
            return None

    @property
    def is_web_page(self) -> bool:
        """Content-Type alone does not tell: Slack's webhooks say `text/html` for the answer `ok`."""
        start = self.content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        return start.startswith((b"<!doctype html", b"<html")) or (
            self.media_type in ("text/html", "application/xhtml+xml") and start.startswith(b"<")
        )


class Reply(httpx.Response):
    """The 2xx answer a connector gets: `json()` by orjson, which survives deep nesting and huge numbers."""

    def json(self, **kwargs: Any) -> Any:
        return orjson.loads(self.content)


@dataclass
class _Body:
    """Collects what was sent, unpacked, up to the limit."""

    encoding: str
    content: io.BytesIO = field(default_factory=io.BytesIO)  # its value is handed over without a copy
    bytes_in: int = 0

    def __post_init__(self) -> None:
        # 32 + 15: gzip or zlib, told apart by the header
        self._unpacker = zlib.decompressobj(47) if self.encoding else None

    def add(self, chunk: bytes) -> bool:
        """False when the limit is passed; what was collected up to it is kept."""
        self.bytes_in += len(chunk)
        if self._unpacker is None:
            self.content.write(chunk[: self._room])
        else:
            self._unpack(self._unpacker, chunk)
        return self._room > 0 and self.bytes_in <= MAX_ANSWER_BYTES

    def _unpack(self, unpacker: Any, packed: bytes) -> None:
        """In steps, so that memory is bounded: 200 KB of gzip may hold 64 MiB."""
        step = min(self._room, STEP_BYTES)
        while step:
            piece = unpacker.decompress(packed, step)
            self.content.write(piece)
            packed, ended = unpacker.unconsumed_tail, len(piece) < step
            step = 0 if ended else min(self._room, STEP_BYTES)

    @property
    def _room(self) -> int:
        """One byte more than is allowed, which shows that there is more."""
        return MAX_ANSWER_BYTES + 1 - self.content.tell()

    @property
    def ended(self) -> bool:
        return self._unpacker is None or self._unpacker.eof or not self.bytes_in


def read_answer(response: httpcore.Response, deadline_s: float) -> Answer:
    """Read to the end, the limit or the deadline, and close. The status stands whatever the body does."""
    headers = httpx.Headers(response.headers)
    body, flaw = _Body(_encoding(headers)), ""
    try:
        if body.encoding not in ("", "gzip", "x-gzip", "deflate"):
            flaw = f'is packed in a way that was not asked for ("{body.encoding[:40]}")'
        else:
            flaw = _collect(response, body)
    except httpcore.TimeoutException:
        flaw = f"trickled and was cut at {deadline_s:g} s"
    except (httpcore.NetworkError, httpcore.ProtocolError):
        flaw = "broke off"
    except zlib.error:
        flaw = "cannot be unpacked"
    finally:
        response.close()
    is_read_whole = 200 <= response.status < 300 and not flaw
    body.content.truncate(MAX_ANSWER_BYTES if is_read_whole else KEPT_BYTES)
    return Answer(response.status, headers, body.content.getvalue(), body.bytes_in, flaw)


def _collect(response: httpcore.Response, body: _Body) -> str:
    for chunk in response.iter_stream():
        if not body.add(chunk):
            return _TOO_LONG
    return "" if body.ended else "broke off"


def _encoding(headers: httpx.Headers) -> str:
    """`gzip, gzip` and the like stay whole and are refused: unpacking twice took 10 s and 342 MiB."""
    words = [word.strip().lower() for word in headers.get_list("content-encoding", split_commas=True)]
    return ", ".join(word for word in words if word and word != "identity")
