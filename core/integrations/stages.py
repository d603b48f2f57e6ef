"""A connection test in stages: what its connector proves, and the stage that failed where it raised a fault."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from core.http import VendorClient
from core.http.errors import DeliveryError, InDoubt, Misconfigured, Rejected, Stage, Throttled, Unavailable
from core.integrations import Manifest, client
from core.integrations.answers import reached
from core.integrations.base import Step
from core.platform import durations

#: what a refusal with this status leaves unproven; any other one was an answer, and no more
_BY_STATUS: dict[int, Stage] = {
    401: "credentials",
    402: "permission",
    403: "permission",
    407: "network",
    511: "network",
    **dict.fromkeys((404, 405, 406, 410, 411, 414, 415, 421, 426, 501, 505), "target"),
}


def stages(manifest: Manifest, values: Mapping[str, Any]) -> Iterator[Step]:
    """Test a config, secrets as plain strings; each stage as soon as it is known, up to the first that fails."""
    passed: list[Stage] = []
    try:
        with client.live(manifest, values) as live:
            try:
                for step in live.connector.check():
                    yield step
                    if step.ok is False:
                        return
                    passed.append(step.name)
            except DeliveryError as fault:
                yield from _failed(fault, live.client, passed)
    except DeliveryError as fault:  # nothing could be called
        yield Step(_stage(fault, ()), False, told(fault))


def told(fault: DeliveryError) -> str:
    """What a fault says to whoever tests a connection: nothing was sent, so nothing waits or is replayed."""
    next_step = _next_step(fault)
    return fault.message if next_step is None else f"{fault.said} {next_step}"


def _next_step(fault: DeliveryError) -> str | None:
    """None where the fault's own one fits this moment, too."""
    if isinstance(fault, Misconfigured):
        return None
    if isinstance(fault, Throttled):
        wait = f"in {durations.precise(fault.retry_after_s)}" if fault.retry_after_s else "in a minute"
        return f"Test again {wait}."
    if isinstance(fault, Rejected):
        return "Correct the settings and test again."
    is_reached = fault.status is not None
    if isinstance(fault, Unavailable):
        return "Test again in a few minutes." if is_reached else "Check the address, and the way to it."
    return "Correct the address and test again." if isinstance(fault, InDoubt) and is_reached else None


def _failed(fault: DeliveryError, http: VendorClient, passed: Collection[Stage]) -> Iterator[Step]:
    """The stage that failed; before it what its call has proven, and the connector had no time to say."""
    stage = _stage(fault, passed)
    if "network" not in passed:
        yield from _proven(http, stage)
    yield Step(stage, False, told(fault))


def _proven(http: VendorClient, stage: Stage) -> Iterator[Step]:
    call = http.last_call
    if call is None or stage == "network" or not (call.connected or call.heard):
        return
    target = call.target
    if stage != "tls" and target.scheme:
        yield from reached(f"{target.scheme}://{target.host}", http.vendor)
    else:
        yield Step("network", True, f"{target.host}:{target.port} takes connections.")


def _stage(fault: DeliveryError, passed: Collection[Stage]) -> Stage:
    """Which stage fails by `fault`. What passed with one address may fail with the next: it is what comes after."""
    stage = fault.stage or _by_status(fault)
    if stage in ("credentials", "target") and stage in passed:
        stage = "permission"
    return "answer" if stage == "permission" and stage in passed else stage


def _by_status(fault: DeliveryError) -> Stage:
    if fault.status is None:
        return "network"
    if isinstance(fault, Unavailable):
        return "answer"
    # a 2xx or 3xx that is a fault comes from something else than what was meant
    return "target" if fault.status < 400 else _BY_STATUS.get(fault.status, "answer")
