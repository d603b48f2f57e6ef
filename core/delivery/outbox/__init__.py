"""The durable queue: put, claim, close, reap, skip. Only this package writes a delivery's state.

`webhook_deliveries` is the outbox and the delivery log in one. A claim writes an attempt row before a
byte leaves; rows are closed `WHERE attempt_id = mine`, so a worker that slept past its lease closes
nothing (the fence). Everything here takes a session; the caller commits.

Whoever locks several things takes them in the order of LOCK_ORDER, and several connections in that of their ids,
so no two can wait for each other. A connection's own row (`db.locked`) comes before any of its deliveries.
"""

from core.delivery.outbox.attempts import keep_failed
from core.delivery.outbox.claims import Claim, claim, expired, longest_lease, reap, renew, shorten_leases
from core.delivery.outbox.closure import close, end_attempt, note_calls
from core.delivery.outbox.decisions import (
    bury,
    discard,
    end,
    hasten,
    put_right,
    recover,
    regrade,
    release,
    replay,
    replay_rows,
    settle_as_is,
    skip,
    skip_rows,
    unskip_rows,
)
from core.delivery.outbox.entries import New, put, remap
from core.delivery.outbox.groups import gather, give_up, loose, members, put_off
from core.delivery.outbox.queries import (
    Known,
    Waiting,
    count_waiting,
    earliest,
    first_since,
    has_held,
    is_new,
    known,
    next_due_at,
    peek,
    records,
    stale,
    standing,
    waiting,
)
from core.delivery.outbox.restore import doubt, highest_attempt, keep_moment, restored_at, uncertain
from core.delivery.outbox.tickets import Search, TicketTarget, held, settle_places

#: tables, from first to last; what is missing here is locked alone, or by nobody else
LOCK_ORDER = (
    "counters",
    "user_integrations",
    "delivery_attempts",
    "webhook_deliveries",
    "siem_events",
    "ticket_integrations",
    "hourly_figures",
    "integration_logs",
)

__all__ = [
    "LOCK_ORDER",
    "Claim",
    "Known",
    "New",
    "Search",
    "TicketTarget",
    "Waiting",
    "bury",
    "claim",
    "close",
    "count_waiting",
    "discard",
    "doubt",
    "earliest",
    "end",
    "end_attempt",
    "expired",
    "first_since",
    "gather",
    "give_up",
    "has_held",
    "hasten",
    "held",
    "highest_attempt",
    "is_new",
    "keep_failed",
    "keep_moment",
    "known",
    "longest_lease",
    "loose",
    "members",
    "next_due_at",
    "note_calls",
    "peek",
    "put",
    "put_off",
    "put_right",
    "reap",
    "records",
    "recover",
    "regrade",
    "release",
    "remap",
    "renew",
    "replay",
    "replay_rows",
    "restored_at",
    "settle_as_is",
    "settle_places",
    "shorten_leases",
    "skip",
    "skip_rows",
    "stale",
    "standing",
    "uncertain",
    "unskip_rows",
    "waiting",
]
