"""Where did it go? Runs, deliveries, events, tickets and the whole story of one record; and once more."""

from core.deliveries.holding import discard, release
from core.deliveries.listing import delivered_since, events, listing, logs, one, tickets
from core.deliveries.plan import Plan, plan
from core.deliveries.replaying import replay_one
from core.deliveries.story import explain
from core.deliveries.wanted import Wanted

__all__ = [
    "Plan",
    "Wanted",
    "delivered_since",
    "discard",
    "events",
    "explain",
    "listing",
    "logs",
    "one",
    "plan",
    "release",
    "replay_one",
    "tickets",
]
