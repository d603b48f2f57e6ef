"""From a receipt to a delivery's next state: the state table of the outbox as pure functions."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from core.delivery.retry import Policy, next_wait_s
from core.http import Exchange
from core.http.errors import (
    Contested,
    DeliveryError,
    InDoubt,
    Misconfigured,
    NotTried,
    Rejected,
    Throttled,
    Unavailable,
)
from core.integrations.base import Receipt, Ticket
from core.integrations.in_doubt import AFTER_A_LOST_ANSWER, AFTER_GIVING_UP
from core.platform.text import cut
from core.storage.models import State

#: a 409 that lasts longer than three tries is no coincidence
CONTESTED_ATTEMPTS = 3
#: kept of the answer that delivered a row: every row of a batch has its own copy. The attempt has 2,000 of them
ANSWER_CHARS = 300
_MAY_BE_TWICE = "An earlier attempt may have arrived, so it may be there twice."


@dataclass(frozen=True, slots=True)
class Row:
    """A claimed delivery. `in_doubt_since` is set when it may already have arrived.

    `place`, of a case: where its ticket may be from before this claim; None when it is certainly nowhere.
    """

    id: int
    key: str
    payload: str
    record_kind: str
    record_id: int
    attempt_count: int
    look_ups: int
    in_doubt_since: datetime | None
    wanted_at: datetime
    place: str | None = None


@dataclass(frozen=True, slots=True)
class InDoubtPolicy:
    """How this vendor's unanswered calls are resolved; from the manifest."""

    mode: str  # native_key | look_up | may_repeat
    look_up_after_s: tuple[int, ...] = ()

    def first_wait_s(self, policy: Policy, attempts: int, random: float) -> float | None:
        """Seconds until the first look; None when the row's attempts are used up."""
        wait_s = next_wait_s(policy, attempts, random)
        return float(self.look_up_after_s[0]) if self.mode == "look_up" and wait_s is not None else wait_s


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one claimed row."""

    id: int
    state: State
    attempts: int
    reason: str | None = None
    next_attempt_at: datetime | None = None
    in_doubt_since: datetime | None = None
    look_ups: int = 0
    vendor_id: str | None = None
    ticket: Ticket | None = None
    status: int | None = None
    body: str | None = None
    place: str | None = None  # where its ticket is, or may be


def judge(
    row: Row,
    receipt: Receipt,
    *,
    doubt: InDoubtPolicy,
    policy: Policy,
    random: float,
    now: datetime,
    place: str | None = None,
    answer: Exchange | None = None,
) -> Outcome:
    """Turn a receipt into the row's next state. Pure. `place`: which one was asked; `answer`: by which call the
    receipt is known."""
    if receipt.fault is None:
        return delivered(row, receipt, doubt, place, answer)
    verdict = _failed(row, receipt.fault, doubt, policy, random, now)
    where = place if isinstance(receipt.fault, InDoubt) else row.place
    return verdict if where is None else replace(verdict, place=where)


def delivered(
    row: Row,
    receipt: Receipt,
    doubt: InDoubtPolicy,
    place: str | None = None,
    answer: Exchange | None = None,
) -> Outcome:
    """Return the outcome of what is there: taken now, or found at `place`. Without a call there is no `answer`."""
    return Outcome(
        row.id,
        State.DELIVERED,
        row.attempt_count + 1,
        reason=_MAY_BE_TWICE if row.in_doubt_since and doubt.mode == "may_repeat" else None,
        vendor_id=receipt.vendor_id,
        ticket=receipt.ticket,
        look_ups=row.look_ups,
        status=answer.status if answer else None,
        body=_kept(answer.answer) if answer else None,
        place=place,
    )


@lru_cache(maxsize=8)
def _kept(answer: str) -> str | None:
    """What a row keeps of an answer; those of a batch have the same."""
    return cut(answer, ANSWER_CHARS) or None


def _failed(
    row: Row, fault: DeliveryError, doubt: InDoubtPolicy, policy: Policy, random: float, now: datetime
) -> Outcome:
    answer: dict[str, Any] = {"reason": fault.message, "status": fault.status, "body": fault.body or None}
    if isinstance(fault, Contested) and row.attempt_count + 1 < CONTESTED_ATTEMPTS:
        return _again(row, doubt, policy, random, now, answer)
    if isinstance(fault, Rejected):
        # still marked, so that a replay looks for it first
        doubt_since = row.in_doubt_since
        return Outcome(row.id, State.DEAD, row.attempt_count + 1, in_doubt_since=doubt_since, **answer)
    if isinstance(fault, Misconfigured | Throttled | NotTried):
        return _unspent(row, now, answer)
    if isinstance(fault, InDoubt):
        return _in_doubt(row, doubt, policy, random, now, answer)
    assert isinstance(fault, Unavailable)
    return _again(row, doubt, policy, random, now, answer)


def _unspent(row: Row, now: datetime, answer: dict[str, Any]) -> Outcome:
    """Certainly not delivered and not the record's fault: the connection waits, the row keeps its place."""
    state = State.IN_DOUBT if row.in_doubt_since else State.PENDING
    return Outcome(
        row.id,
        state,
        row.attempt_count,
        next_attempt_at=now,
        in_doubt_since=row.in_doubt_since,
        look_ups=row.look_ups,
        **answer,
    )


def _again(
    row: Row, doubt: InDoubtPolicy, policy: Policy, random: float, now: datetime, answer: dict[str, Any]
) -> Outcome:
    attempts = row.attempt_count + 1
    wait_s = next_wait_s(policy, attempts, random)
    if wait_s is None:
        return _over(row, doubt, attempts, answer)
    return Outcome(
        row.id,
        State.IN_DOUBT if row.in_doubt_since else State.RETRYING,
        attempts,
        next_attempt_at=now + timedelta(seconds=wait_s),
        in_doubt_since=row.in_doubt_since,
        look_ups=row.look_ups,
        **answer,
    )


def _in_doubt(
    row: Row, doubt: InDoubtPolicy, policy: Policy, random: float, now: datetime, answer: dict[str, Any]
) -> Outcome:
    attempts = row.attempt_count + 1
    over = next_wait_s(policy, attempts, random) is None
    wait_s = doubt.first_wait_s(policy, attempts, random)
    if over or wait_s is None:
        return _over(row, doubt, attempts, answer, in_doubt_since=now)
    told = f"{answer['reason']} {AFTER_A_LOST_ANSWER[doubt.mode]}"
    return Outcome(
        row.id,
        State.IN_DOUBT,
        attempts,
        next_attempt_at=now + timedelta(seconds=wait_s),
        in_doubt_since=now,
        **answer | {"reason": told},
    )


def _over(
    row: Row,
    doubt: InDoubtPolicy,
    attempts: int,
    answer: dict[str, Any],
    in_doubt_since: datetime | None = None,
) -> Outcome:
    """Dead, and marked where it may have arrived: the ticket of a replayed row is looked for first."""
    since = in_doubt_since or row.in_doubt_since
    many = "attempt" if attempts == 1 else "attempts"
    last = str(answer["reason"]).removesuffix(" What waits is tried again.")
    reason = f"Given up after {attempts} {many}. Last answer: {last}"
    reason += f" {AFTER_GIVING_UP[doubt.mode]}" if since else ""
    return Outcome(row.id, State.DEAD, attempts, in_doubt_since=since, **answer | {"reason": reason})


def still_in_doubt(row: Row, doubt: InDoubtPolicy, now: datetime) -> Outcome | None:
    """Return the outcome after a look-up found nothing; None when all look-ups are done and it may be sent again.

    A look-up before its time (a person pressed Sync) does not count: the vendor's index may lag.
    """
    assert row.in_doubt_since is not None
    after = doubt.look_up_after_s
    if not after:  # native_key: one look is a courtesy, the key itself keeps a second one from being made
        return None
    due = row.in_doubt_since + timedelta(seconds=after[min(row.look_ups, len(after) - 1)])
    looked = row.look_ups + 1 if now >= due else row.look_ups
    if looked >= len(after):
        return None
    return Outcome(
        row.id,
        State.IN_DOUBT,
        row.attempt_count,
        reason=f"It may have been created; look-up {looked} of {len(after)} found nothing yet.",
        next_attempt_at=row.in_doubt_since + timedelta(seconds=after[looked]),
        in_doubt_since=row.in_doubt_since,
        look_ups=looked,
        place=row.place,
    )
