"""Where did it go? Runs, deliveries, events, tickets and the whole story of one record; and once more."""

from core.delivery.history.explanation import explain
from core.delivery.history.held import discard, release
from core.delivery.history.lists import delivered_since, events, listing, logs, one, tickets
from core.delivery.history.replay_filter import ReplayFilter
from core.delivery.history.replay_plan import Plan, plan
from core.delivery.history.single_replay import replay_one

__all__ = [
    "Plan",
    "ReplayFilter",
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
