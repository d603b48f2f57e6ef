"""Pure: encoded records → requests that stay within a vendor's size."""

from collections.abc import Iterable, Iterator

from core.http.errors import Rejected
from core.integrations.base import Item, Receipt

Encoded = tuple[Item, bytes]


def batches(
    entries: Iterable[Encoded], max_bytes: int, max_items: int | None = None
) -> Iterator[list[Encoded]]:
    """Entries in their order; each batch, with a comma or line end per entry, has at most `max_bytes`.

    An entry that is larger alone comes alone; `too_large` is its receipt.
    """
    batch: list[Encoded] = []
    size = 0
    for item, body in entries:
        if batch and (size + len(body) + 1 > max_bytes or len(batch) == max_items):
            yield batch
            batch, size = [], 0
        batch.append((item, body))
        size += len(body) + 1
    if batch:
        yield batch


def joined(batch: Iterable[Encoded]) -> bytes:
    return b",".join(body for _, body in batch)


def too_large(batch: list[Encoded], max_bytes: int) -> Receipt | None:
    """The receipt of a single record that no request can hold; sending it would only be refused."""
    item, body = batch[0]
    if len(body) <= max_bytes:
        return None
    words = f"This record alone has {len(body):,} bytes; a request may have {max_bytes:,}."
    return Receipt(item.key, fault=Rejected(f"{words} Switch include_raw off, or map less of it."))


def ends(receipts: Iterable[Receipt]) -> bool:
    """Whether one of them has a fault that the next request would meet too."""
    return any(r.fault is not None and not isinstance(r.fault, Rejected) for r in receipts)
