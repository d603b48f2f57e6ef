"""Records in: the idempotent upsert, its numbers in the order of commits, and what a connection has not seen.

Takes a session and never commits.
"""

from core.sources.intake import Stored, store
from core.sources.owners import adopt
from core.sources.reading import by_local_id, changes, count, count_others, latest, latest_seq, local_ids

__all__ = [
    "Stored",
    "adopt",
    "by_local_id",
    "changes",
    "count",
    "count_others",
    "latest",
    "latest_seq",
    "local_ids",
    "store",
]
