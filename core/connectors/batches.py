"""Pure: encoded records → calls that are no larger than the vendor takes."""

from collections.abc import Iterable, Iterator

from core.connectors.base import Item, Receipt, Rejected

Encoded = tuple[Item, bytes]


def split(lines: Iterable[Encoded], count: int, size: int) -> Iterator[list[Encoded]]:
    """In order, each of at most `count` records and `size` bytes; a larger record goes alone."""
    batch: list[Encoded] = []
    used = 0
    for item, line in lines:
        if batch and (len(batch) == count or used + len(line) + 1 > size):
            yield batch
            batch, used = [], 0
        batch.append((item, line))
        used += len(line) + 1
    if batch:
        yield batch


def ends(receipts: Iterable[Receipt]) -> bool:
    """Whether one of them has a fault that the next call would meet too."""
    return any(r.fault is not None and not isinstance(r.fault, Rejected) for r in receipts)
