"""What every request to the API passes first: size, encoding, and an answer even when the hub fails.

Plain ASGI, so that a body is counted as it comes in, whatever its headers say.
"""

import traceback

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.platform.errors import HubError, Invalid, Unusable
from core.web.api.body import OF_RECORDS
from core.web.api.errors import WrongType, answer, problem, too_large

#: of any route; most take less
MAX_BODY_BYTES = OF_RECORDS.bytes

log = structlog.get_logger("hub.api")


class Guard:
    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        refusal = self._refusal(scope)
        if refusal is not None:
            return await problem(refusal)(scope, receive, send)
        await self._answered(scope, _counted(receive, self.max_bytes), send)

    def _refusal(self, scope: Scope) -> HubError | None:
        headers = Headers(scope=scope)
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            return WrongType("The body is compressed. Send it as it is, without Content-Encoding.")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > self.max_bytes:
            return too_large(self.max_bytes)
        if "\x00" in scope["path"] or b"%00" in scope["query_string"] or b"\x00" in scope["query_string"]:
            return Invalid("The address holds a NUL character. Send it without.")
        return None

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def note(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, note)
        except ClientDisconnect:
            return  # left while its body was awaited, or was sent away by the server
        except Exception as error:  # noqa: BLE001  the last one before the socket; logged without its text
            _tell(scope, error)
            if started:
                raise ConnectionResetError("the answer broke off") from None
            await _apology(error)(scope, receive, send)


def _apology(error: Exception) -> ASGIApp:
    if isinstance(error, HubError):
        return problem(error)
    return answer(500, "internal", "The hub failed at this request. Its log says where; repeat it later.")


def _tell(scope: Scope, error: Exception) -> None:
    """Where it failed, not with which values: an exception's text may quote a record or a credential."""
    if isinstance(error, Unusable):
        return
    where = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-8:]]
    log.error("request failed", method=scope["method"], error=type(error).__name__, where=where)


def _counted(receive: Receive, max_bytes: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > max_bytes:
            raise too_large(max_bytes)
        return message

    return counted
