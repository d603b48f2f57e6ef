"""How each connection is doing, from the hourly figures and the outbox."""

from core.health.figures import Figure
from core.health.recent_runs import Run
from core.health.status import Standing, Word, end_of, every_s, held_sentence, standing
from core.health.summary import OBJECTIVE, Heat, HeatCell, Overview, Strip, Trouble, choices, overview
from core.platform.durations import duration

__all__ = [
    "OBJECTIVE",
    "Figure",
    "Heat",
    "HeatCell",
    "Overview",
    "Run",
    "Standing",
    "Strip",
    "Trouble",
    "Word",
    "choices",
    "duration",
    "end_of",
    "every_s",
    "held_sentence",
    "overview",
    "standing",
]
