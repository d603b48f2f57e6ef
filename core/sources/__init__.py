"""Records in: the idempotent upsert, its numbers in the order of commits, and what a connection has not seen.

Takes a session and never commits.
"""

from core.sources.intake import Stored, store
from core.sources.owners import adopt, heirs, names_of
from core.sources.reading import by_local_id, changes, count, count_others, latest, local_ids, newest
from core.sources.tables import head, hold, lock

__all__ = [
    "Stored",
    "adopt",
    "by_local_id",
    "changes",
    "count",
    "count_others",
    "head",
    "heirs",
    "hold",
    "latest",
    "local_ids",
    "lock",
    "names_of",
    "newest",
    "store",
]
