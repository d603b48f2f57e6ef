"""What a run of the crash test is to do, and what it reports."""

from collections import Counter
from dataclasses import dataclass, field

from tests.crash import points


@dataclass(frozen=True)
class Plan:
    kills: int
    stops: int
    each: int  # kills at every point, at least
    batches: int  # of 2 scans, 2 cases and 2 alerts: 16 deliveries
    mutant: str = "none"
    seed: int = 1
    kill_points: tuple[str, ...] = tuple(points.PLACES)
    stop_points: tuple[str, ...] = points.STOPPABLE
    #: connections: a slug, and a number where there are several. A killed worker's lease keeps its connection
    #: for a while, so there are more of them than workers
    names: tuple[str, ...] = ("splunk", "splunk-2", "jira", "jira-2", "slack", "slack-2", "keyed", "keyed-2")
    chaos: bool = True
    at_random: bool = True  # half of the kills
    life_s: float = 0.6  # of a worker that is killed at random, at most
    edits: bool = True  # somebody narrows and widens filters all the time
    workers: int = 4
    role: str = "worker"
    speed: float = 50.0  # seconds of the hub's clock in one of the machine's
    restores: bool = False  # after the end the database of half-way is put back


@dataclass
class Report:
    """What happened; `broken` are the promises that were not kept, in words."""

    kills: int = 0
    stops: int = 0
    at: Counter[str] = field(default_factory=Counter)
    stopped_at: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    restored: bool = False
    troubles: int = 0
    delivered: int = 0
    in_doubt: int = 0
    copies: int = 0
    duplicates: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)
