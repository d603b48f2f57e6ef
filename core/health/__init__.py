"""How each connection is doing, from the hourly figures and the outbox."""

from core.health.figures import Figure
from core.health.overview import (
    OBJECTIVE,
    Block,
    Overview,
    Strip,
    Trouble,
    choices,
    overview,
)
from core.health.runs import Run
from core.health.standing import Standing, Word, duration, standing

__all__ = [
    "OBJECTIVE",
    "Block",
    "Figure",
    "Overview",
    "Run",
    "Standing",
    "Strip",
    "Trouble",
    "Word",
    "choices",
    "duration",
    "overview",
    "standing",
]
