"""Latencies as counts per bucket: of calls in milliseconds, from record to tool in seconds."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import zip_longest

import orjson

#: upper bounds of the histogram buckets; a last, open bucket follows
BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 20_000)
BOUNDS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 28_800, 86_400, 259_200)


def added(histograms: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """Counts bucket by bucket; a shorter histogram has nothing in its missing buckets."""
    return tuple(map(sum, zip_longest(*histograms, fillvalue=0)))


def add_to_histogram(counts: Sequence[int], bounds: Sequence[float], values: Sequence[float]) -> list[int]:
    """Counts per bucket: bucket i holds values ≤ bounds[i], the last one the rest."""
    added = list(counts) + [0] * (len(bounds) + 1 - len(counts))
    for value in values:
        added[bisect_left(bounds, value)] += 1
    return added


def percentile(counts: Sequence[int], bounds: Sequence[float], share: float) -> float | None:
    """Estimate a percentile from a histogram, evenly spread inside a bucket; the open last bucket answers with
    its lower bound."""
    wanted, passed, lower = sum(counts) * share, 0, 0.0
    if not wanted:
        return None
    for count, upper in zip(counts, bounds, strict=False):
        if passed + count >= wanted:
            return lower + (upper - lower) * (wanted - passed) / count
        passed, lower = passed + count, float(upper)
    return lower


def sum_of_texts(histograms: str) -> tuple[int, ...]:
    """`[1,2],[],[3,4]` → (4, 6)."""
    filled = histograms.replace("[],", "").removesuffix(",[]")
    if filled in ("", "[]"):
        return ()
    width = len(BOUNDS_S) + 1
    flat = orjson.loads(f"[{filled.strip('[]').replace('],[', ',')}]")
    if len(flat) == width * (filled.count("],[") + 1):  # none is longer, so all are whole: half the time
        return tuple(sum(flat[bound::width]) for bound in range(width))
    return added(orjson.loads(f"[{filled}]"))
