"""The durable queue: put, claim, close, reap, skip. Only this package writes a delivery's state.

`webhook_deliveries` is the outbox and the delivery log in one. A claim writes an attempt row before a
byte leaves; rows are closed `WHERE attempt_id = mine`, so a worker that slept past its lease closes
nothing (the fence). Everything here takes a session; the caller commits.
"""

from core.outbox.claiming import Claim, claim, expired, reap, renew
from core.outbox.closing import close, end_attempt
from core.outbox.digesting import gather, give_up, loose, members, put_off
from core.outbox.looking import (
    count_waiting,
    elsewhere,
    first_since,
    has_held,
    known,
    next_due_at,
    peek,
    records,
    standing,
)
from core.outbox.putting import New, put
from core.outbox.steering import (
    discard,
    hasten,
    recover,
    release,
    replay,
    replay_rows,
    skip,
    skip_rows,
    unskip_rows,
)

__all__ = [
    "Claim",
    "New",
    "claim",
    "close",
    "count_waiting",
    "discard",
    "elsewhere",
    "end_attempt",
    "expired",
    "first_since",
    "gather",
    "give_up",
    "has_held",
    "hasten",
    "known",
    "loose",
    "members",
    "next_due_at",
    "peek",
    "put",
    "put_off",
    "reap",
    "records",
    "recover",
    "release",
    "renew",
    "replay",
    "replay_rows",
    "skip",
    "skip_rows",
    "standing",
    "unskip_rows",
]
