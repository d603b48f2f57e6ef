"""The words that columns hold: kinds, roles, states."""

from enum import StrEnum

#: owner of records that came without a `user_id`, and not from a person: visible to admins only. A `user_id` that
#: names nobody the hub knows has an owner of its own (`core.records.owners.stand_in`).
#: Not NULL, because NULLs are all different in a unique constraint and the import would not be idempotent.
UNASSIGNED = "00000000-0000-0000-0000-000000000000"


class Role(StrEnum):
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class Kind(StrEnum):
    SCAN = "scan"
    CASE = "case"
    ALERT = "alert"


class Category(StrEnum):
    SIEM = "siem"
    TICKETING = "ticketing"
    COMMUNICATION = "communication"


#: what a connection of each category exports
KIND_OF = {Category.SIEM: Kind.SCAN, Category.TICKETING: Kind.CASE, Category.COMMUNICATION: Kind.ALERT}
#: of a record, the least first
SEVERITIES = ("low", "medium", "high", "critical")


class HubMessageKind(StrEnum):
    """What the hub itself says: stands in `record_kind` where else the kind of a record does."""

    NOTICE = "notice"  # a connection fails; through the connection that its `notify_via` names
    DIGEST = "digest"  # many records as one message; their rows point at it with `digest_id`


class State(StrEnum):
    """A delivery's state. Only `core.delivery.outbox` writes it."""

    PENDING = "pending"  # waits for its first send, or again after a fault that was not the record's
    SENDING = "sending"  # claimed by an attempt; a byte may have left
    RETRYING = "retrying"  # certainly not delivered; next_attempt_at says when it is tried again
    IN_DOUBT = "in_doubt"  # may have been delivered; looked up or sent again under the same key
    DELIVERED = "delivered"
    DEAD = "dead"  # cannot be delivered, `reason` says why; a person may replay it
    HELD = "held"  # waits for a person (storm control, budget)
    SKIPPED = "skipped"  # no longer wanted (filter edited, connection deleted)


class SkippedBy(StrEnum):
    """Who took a delivery out of the queue."""

    FILTER = (
        "filter"  # its record is not wanted; it comes back when a change or an edit makes it wanted again
    )
    PERSON = "person"  # discarded, or its connection was deleted: only a replay brings it back


#: states that `core.delivery.outbox.claims` takes
WAITING = (State.PENDING, State.RETRYING, State.IN_DOUBT)
#: states of rows that a person decides about; one partial index has them
STUCK = (State.DEAD, State.HELD)
#: what is not delivered, as the partial indexes have it: a statement that names one of these groups finds few
#: rows among millions
UNDELIVERED = (WAITING, (State.SENDING,), STUCK, (State.SKIPPED,))


class RunStatus(StrEnum):
    """How a run ended. An idle one is on the strip only: it is in no log and in no figure."""

    RUNNING = "running"
    SUCCESS = "success"  # all that it took is delivered, or waits for a person
    PARTIAL = "partial"
    FAILED = "failed"
    BLOCKED = "blocked"  # something waits, and the connection may not be called yet
    IDLE = "idle"  # nothing was new, and nothing was due
    INTERRUPTED = "interrupted"


class AttemptOutcome(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"  # its lease ran out before it was closed


class ReplayState(StrEnum):
    RUNNING = "running"  # worked off in steps
    PAUSED = "paused"  # a person stopped it; what is not back in the queue yet stays as it was
    DONE = "done"
