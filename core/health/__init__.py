"""How each connection is doing, from the hourly figures and the outbox."""

from core.health.facts import Facts
from core.health.figures import Figure
from core.health.recent_runs import RecentRun
from core.health.status import ConnectionStatus, Status, end_of, every_s, held_sentence, standing
from core.health.summary import (
    FAILURES,
    OBJECTIVE,
    DeliveryTrouble,
    Heat,
    HeatCell,
    Overview,
    Strip,
    choices,
    overview,
)
from core.platform.durations import duration

__all__ = [
    "FAILURES",
    "OBJECTIVE",
    "ConnectionStatus",
    "DeliveryTrouble",
    "Facts",
    "Figure",
    "Heat",
    "HeatCell",
    "Overview",
    "RecentRun",
    "Status",
    "Strip",
    "choices",
    "duration",
    "end_of",
    "every_s",
    "held_sentence",
    "overview",
    "standing",
]
