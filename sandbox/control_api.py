"""The sandbox's own API under `/_sandbox`: set and clear faults, read what arrived."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qsl

from sandbox.contract import Answer, Request, json_answer, read_json
from sandbox.faults import SECONDS, Fault
from sandbox.state import SandboxState


class BadOrder(Exception):
    """What was asked of the control API makes no sense; the text says why."""


def control(state: SandboxState, request: Request) -> Answer:
    """The answer to `request`, whose path begins after `/_sandbox`."""
    routes = {
        ("GET", "/accepted"): _accepted,
        ("GET", "/stats"): _stats,
        ("GET", "/faults"): _faults,
        ("POST", "/faults"): _set_fault,
        ("DELETE", "/faults"): _clear_faults,
        ("POST", "/faults/clear"): _clear_faults,
        ("POST", "/index_lag"): _set_index_lag,
    }
    act = routes.get((request.method, request.path))
    if act is None:
        known = ", ".join(f"{method} /_sandbox{path}" for method, path in routes)
        return json_answer(404, {"error": f"The sandbox knows {known}."})
    try:
        return act(state, request)
    except BadOrder as order:
        return json_answer(400, {"error": str(order)})


def _accepted(state: SandboxState, request: Request) -> Answer:
    vendor = _vendor(state, request.query)
    return json_answer(200, {"items": [asdict(accepted) for accepted in state.accepted(vendor)]})


def _stats(state: SandboxState, request: Request) -> Answer:
    return json_answer(200, {slug: asdict(state.count(slug)) for slug in state.vendors})


def _faults(state: SandboxState, request: Request) -> Answer:
    return json_answer(
        200, {"items": [_told(fault) for fault in state.faults(_vendor(state, request.query))]}
    )


def _set_fault(state: SandboxState, request: Request) -> Answer:
    asked = _asked(request)
    try:
        fault = Fault(
            vendor=str(asked.get("vendor", "")),
            name=str(asked.get("fault", "")),
            times=_whole(asked, "times"),
            share=_decimal(asked, "share"),
            seed=_whole(asked, "seed") or 0,
            seconds=_decimal(asked, "seconds", SECONDS) or 0.0,
        )
        state.set_fault(fault)
    except ValueError as error:
        raise BadOrder(str(error)) from error
    return _done(request, _told(fault))


def _clear_faults(state: SandboxState, request: Request) -> Answer:
    asked = _asked(request) if request.method == "POST" else request.query
    state.clear_faults(_vendor(state, asked))
    return _done(request, {})


def _set_index_lag(state: SandboxState, request: Request) -> Answer:
    seconds = _decimal(_asked(request), "seconds")
    if seconds is None or not 0 <= seconds <= 3600:
        raise BadOrder("seconds is a number from 0 to 3600.")
    state.index_lag_s = seconds
    return _done(request, {"seconds": seconds})


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def _asked(request: Request) -> Mapping[str, Any]:
    try:
        if _is_form(request):
            return dict(parse_qsl(request.body.decode()))  # an empty choice counts as not given
        asked = read_json(request.body or b"{}")
    except ValueError as error:
        raise BadOrder("The body is not JSON.") from error
    if not isinstance(asked, dict):
        raise BadOrder("The body is a JSON object.")
    return asked


def _vendor(state: SandboxState, asked: Mapping[str, Any]) -> str | None:
    vendor = asked.get("vendor")
    if vendor is not None and vendor not in state.vendors:
        raise BadOrder(f'There is no vendor "{vendor}" here; there are {", ".join(state.vendors)}.')
    return vendor


def _whole(asked: Mapping[str, Any], name: str) -> int | None:
    value = asked.get(name)
    if value is None:
        return None
    try:
        return int(str(value))
    except ValueError as error:
        raise BadOrder(f"{name} is a whole number.") from error


def _decimal(asked: Mapping[str, Any], name: str, default: float | None = None) -> float | None:
    value = asked.get(name, default)
    if value is None:
        return None
    try:
        return float(str(value))
    except ValueError as error:
        raise BadOrder(f"{name} is a number.") from error


def _told(fault: Fault) -> dict[str, Any]:
    return {
        "vendor": fault.vendor,
        "fault": fault.name,
        "times": fault.times,
        "share": fault.share,
        "seed": fault.seed,
        "seconds": fault.seconds,
    }


def _done(request: Request, value: Any) -> Answer:
    """A form goes back to the page, a program gets JSON."""
    if _is_form(request):
        return Answer(303, headers=(("Location", "/"),))
    return Answer(200, json.dumps(value).encode())
