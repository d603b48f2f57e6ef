"""A request's body as text for people: unpacked, and withheld where it asks for a token."""

import zlib

import httpx

#: what a token's request and answer are kept as: both are credentials that no connection's secrets contain
WITHHELD = "(sign-in, not kept)"


def is_sign_in(request: httpx.Request) -> bool:
    return bool(request.extensions.get("sign_in"))


def sent_text(request: httpx.Request) -> str:
    """The body as the vendor reads it. Gzip is our own here, so it needs no bound."""
    body = request.content
    if request.headers.get("content-encoding") == "gzip":
        body = zlib.decompress(body, wbits=31)
    return body.decode("utf-8", "replace").replace("\x00", "")
