"""A delivery's state as sentences: what happened, and what comes next. Page, API and terminal say it alike."""

from dataclasses import dataclass

from core.storage.models import State


@dataclass(frozen=True, slots=True)
class StateFacts:
    """What a delivery's sentence is made of. Times are words already: how exact they are is the reader's choice."""

    state: State
    reason: str
    vendor_id: str | None = None
    delivered: str = ""  # "at 2026-11-20 10:00:00 UTC" or "3 min ago"
    due: str | None = None  # "in 12 min"; None: nothing is planned but the next sync
    digest: str = ""  # "in a digest", where it went or goes out with others
    holding: str = ""  # why nothing leaves for its connection right now


def sentence(of: StateFacts) -> str:
    """Say what became of a delivery, and what comes next."""
    due = of.due or "with the next sync"
    return {
        State.PENDING: _waits(of, due),
        State.SENDING: "It is being sent right now.",
        State.RETRYING: f"It did not arrive. {of.reason} {of.holding or f'The next attempt is due {due}.'}",
        State.IN_DOUBT: f"It may have arrived. {of.reason} {of.holding or f'It is looked at again {due}.'}",
        State.DELIVERED: f"{_delivered(of)} {of.reason}",
        State.DEAD: f"It is not tried again. {of.reason}",
        State.HELD: f"It waits for a person. {of.reason}",
        State.SKIPPED: f"It was not sent. {of.reason}",
    }[of.state].strip()


def _waits(of: StateFacts, due: str) -> str:
    if of.digest:
        return f"{of.reason} It is sent {of.digest}."
    if of.holding:
        return f"Waits. {of.holding}"
    return f"It waits for its turn: {due}. {of.reason}"


def _delivered(of: StateFacts) -> str:
    parts = ("Delivered", of.delivered, f"as {of.vendor_id}" if of.vendor_id else "", of.digest)
    return f"{' '.join(part for part in parts if part)}."
