"""The body of a request: bytes as they come in, bounds before the parser, and the parser off the event loop.

Parsing takes what the values cost, not the bytes: 5 MB of `[],[],…` hold the interpreter, and with it everybody, for
seconds. So the marks outside of texts are counted first, by a few searches that take a hundredth of that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, count
from operator import sub
from typing import Any

import orjson
from fastapi import Request

from core.platform.errors import Invalid
from core.records.storable import unfit
from core.web import pools
from core.web.api.errors import WrongType, too_large


@dataclass(frozen=True)
class Bounds:
    """Of one body. `containers` are lists and objects, which cost ten times what a text or a number does."""

    bytes: int
    values: int
    containers: int
    depth: int


#: a connection with all its options is a few hundred values
ORDINARY = Bounds(2**20, 20_000, 20_000, depth=64)
#: 1,000 records of 250 fields, or of 100 lists and objects; 100,000 of these take 0.1 s. What is too deep to be kept
#: is cut and noted by the record, so what bounds the depth is the parser
OF_RECORDS = Bounds(5 * 2**20, 250_000, 100_000, depth=500)
#: up to here a body is parsed where it came in: a thread would cost more
SMALL_BYTES = 4_096
#: from here on, or of unknown length, a body needs a place: so many are in memory and no more
LARGE_BYTES = 65_536

_OPENS, _CLOSES = b"[{", b"]}"
_DEEPER = bytes(2 if mark in _OPENS else 0 for mark in range(256))
_NO_BRACKETS = bytes(set(range(256)) - set(_OPENS + _CLOSES))


def is_large(request: Request) -> bool:
    if "transfer-encoding" in request.headers:
        return True
    return int(request.headers.get("content-length", "0")) > LARGE_BYTES


async def receive(request: Request, most_bytes: int) -> None:
    """Take the body in; `request.body()` has it from then on. Raises BodyTooLarge as soon as it is."""
    if int(request.headers.get("content-length", "0")) > most_bytes:
        raise too_large(most_bytes)
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > most_bytes:
            raise too_large(most_bytes)
    request._body = bytes(parts)


async def value(request: Request, parse: Callable[[bytes], Any], person: str) -> Any:
    """What the body of a request says, None without one. Raises WrongType, Busy, and what `parse` raises."""
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not body:
        return None
    if kind != "application/json":
        raise WrongType("Send the body as JSON, with Content-Type: application/json.")
    if len(body) <= SMALL_BYTES:
        return parse(body)
    return await pools.PARSING.run(person, parse, body)


def parsed(body: bytes, bounds: Bounds, read: Callable[[bytes], Any] = orjson.loads) -> Any:
    """JSON, as `read` has it. Raises Invalid with the place where it is none, and BodyTooLarge before it is asked."""
    _check(body, bounds)
    try:
        return read(body)
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _wrong(f"The body is not JSON at {place}. Correct it and send it again.") from None


def fit(body: bytes, bounds: Bounds) -> Any:
    """`parsed`, and nothing in it that no database could keep."""
    value = parsed(body, bounds)
    reason = unfit(value)
    if reason:
        raise _wrong(f"The body cannot be kept: {reason}. Correct it and send it again.")
    return value


def _check(body: bytes, bounds: Bounds) -> None:
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 4 * bounds.values:  # a name and a text for each, and two quotes for both
        raise too_large(bounds.values, "values")
    outside = b"".join(plain.split(b'"')[::2])
    containers = outside.count(b"[") + outside.count(b"{")
    if containers > bounds.containers:
        raise too_large(bounds.containers, "lists and objects")
    if containers + outside.count(b",") > bounds.values:
        raise too_large(bounds.values, "values")
    if containers > bounds.depth and _depth(outside) > bounds.depth:
        raise _wrong(f"The body is nested more than {bounds.depth} deep. Send it flatter.")


def _depth(outside: bytes) -> int:
    """Of brackets: after the n-th of them, twice those that opened, less n."""
    opened = accumulate(outside.translate(_DEEPER, _NO_BRACKETS))
    return max(map(sub, opened, count(1)), default=0)


def _wrong(sentence: str) -> Invalid:
    return Invalid(sentence, {"body": sentence})
