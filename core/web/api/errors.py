"""Every error as `{"error": {"code", "message", "details"}}` with a fitting status."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import Response

from core.http.errors import DeliveryError
from core.platform.errors import Busy, Conflict, HubError, Invalid

STATUS = {
    "not_found": 404,
    "conflict": 409,
    "invalid": 422,
    "forbidden": 403,
    "unusable": 503,
    "full": 507,
    "locked": 409,
    "unauthorized": 401,
    "too_large": 413,
    "wrong_type": 415,
    "too_many": 429,
    "busy": 503,
}
BUSY_RETRY_S = 5


class Unauthorized(HubError):
    code = "unauthorized"


class BodyTooLarge(HubError):
    code = "too_large"


def too_large(most: int, unit: str = "bytes") -> BodyTooLarge:
    size = f"{most // 2**20} MiB" if unit == "bytes" else f"{most:,} {unit}"
    return BodyTooLarge(f"The body has more than {size}. Send it in smaller parts.")


class WrongType(HubError):
    code = "wrong_type"


class TooManyRequests(HubError):
    """Over the rate limit; free again after `retry_after_s`."""

    code = "too_many"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ErrorDetails(BaseModel):
    model_config = ConfigDict(extra="forbid")
    fields: dict[str, str] | None = None


class ErrorBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    code: str
    message: str
    details: ErrorDetails


class Problem(BaseModel):
    """What happened, to which thing, and what to do next; `details.fields` names each wrong field."""

    model_config = ConfigDict(extra="forbid")
    error: ErrorBody


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route."""
    words = {
        401: "No token, or one that is unknown, expired or revoked",
        403: "Your role does not allow it",
        404: "No such thing, or not yours: the same answer for both",
        409: "Not in the state the thing is in",
        413: "The body is larger than this route takes",
        415: "The body is not plain JSON",
        422: "Something in the request is wrong",
        429: "Over the rate limit; `Retry-After` says when it is free again",
        503: "The hub cannot do it right now",
        507: "The disk under the database has too little room; nothing was stored",
    }
    return {status: {"model": Problem, "description": words[status]} for status in statuses}


def problem(error: HubError) -> Response:
    headers = {}
    if error.code == "unauthorized":
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyRequests):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, Busy):
        headers["Retry-After"] = str(BUSY_RETRY_S)
    fields = error.fields if isinstance(error, Invalid) else {}
    return answer(STATUS.get(error.code, 400), error.code, error.message, fields, headers)


def answer(
    status: int,
    code: str,
    message: str,
    fields: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    details = {"fields": dict(fields)} if fields else {}
    body = {"error": {"code": code, "message": message, "details": details}}
    return Response(orjson.dumps(body), status, dict(headers or {}), "application/json")


def handle_in(app: FastAPI) -> None:
    app.add_exception_handler(HubError, _hub)
    app.add_exception_handler(DeliveryError, _fault)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)


async def _hub(request: Request, error: Exception) -> Response:
    assert isinstance(error, HubError)
    return problem(error)


async def _fault(request: Request, error: Exception) -> Response:
    """The connection cannot be opened as it is: its credentials or its address."""
    assert isinstance(error, DeliveryError)
    return problem(Conflict(error.message))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    if error.status_code == 404:
        return answer(404, "not_found", f"There is no {path}. The API's page is /docs.")
    if error.status_code == 405:
        sentence = f"{path} does not take {request.method[:20]}. The API's page is /docs."
        return answer(405, "method_not_allowed", sentence, headers=error.headers)
    return answer(error.status_code, "invalid", str(error.detail), headers=error.headers)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = {_name(fault["loc"]): _sentence(fault) for fault in error.errors()}
    shown = " ".join(f"{name}: {sentence}" for name, sentence in list(fields.items())[:5])
    return problem(Invalid(shown, fields))


def _name(place: Sequence[Any]) -> str:
    """`("body", "options", "every")` → `options.every`."""
    inner = [str(part)[:100] for part in place[1:] if isinstance(part, str | int)]
    return _printable(".".join(inner)) or str(place[0])


def _sentence(fault: Mapping[str, Any]) -> str:
    """What pydantic says, without what was sent: that may be a secret."""
    if fault["type"] == "extra_forbidden":
        return "There is no such field here; leave it out."
    return f"{fault['msg']}."


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
