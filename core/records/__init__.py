"""Records in: the idempotent upsert, its numbers in the order of commits, and what a connection has not seen.

Takes a session and never commits.
"""

from core.records.owners import adopt, heirs, names_of
from core.records.queries import beginning_with, by_local_id, changes, count, latest, local_ids, newest
from core.records.tables import head, hold, lock
from core.records.upsert import Stored, store

__all__ = [
    "Stored",
    "adopt",
    "beginning_with",
    "by_local_id",
    "changes",
    "count",
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
