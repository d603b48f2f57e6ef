"""What a sync answers: a count, and one sentence about what happened and what comes next."""

from dataclasses import dataclass
from typing import Any

from core.delivery.runs import Run
from core.storage.models import Connection


@dataclass(frozen=True)
class Result:
    """What a sync answers, at the terminal and in the API (INTERFACE: sync-integration)."""

    success: bool
    count: int
    message: str
    metadata: dict[str, Any]


def message(begun: Run, connection: Connection, waiting: int, left_out: str, held: int) -> str:
    """One sentence: what happened, and what happens next; with nothing new, what is `left_out`."""
    if begun.fault is not None:
        said = begun.fault.message.rstrip()
        said += "" if said.endswith((".", "!", "?")) else "."  # a vendor's words may end without
        return f"{said} {waiting} waiting." if waiting else said
    done, name = begun.tally, begun.manifest.name
    if not (begun.held or done.delivered or done.dead or done.in_doubt or waiting):
        hint = f" {left_out}" if left_out else ""
        hint += f" {held} held: release or discard them." if held else ""
        return f"Nothing new for {name}.{hint}"
    parts = [f"{done.delivered} delivered to {name}"]
    parts += [f"{done.dead} refused"] if done.dead else []
    parts += [f"{done.in_doubt} in doubt"] if done.in_doubt else []
    parts += [f"{waiting} waiting"] if waiting else []
    parts += [f"{begun.held} held until you release them"] if begun.held else []
    at = connection.next_call_at
    until = f" The next call is at {at:%H:%M:%S} UTC ({connection.wait_reason})." if waiting and at else ""
    return ", ".join(parts) + "." + until
