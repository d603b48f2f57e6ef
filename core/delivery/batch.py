"""One connector call → exactly one receipt per item, whatever the connector does.

    a receipt                       passed on
    a raised fault                  settles every item without a receipt
    Rejected raised for many items  halved, until the bad record is alone (Contested: all of them wait)
    TooLarge raised for many items  halved likewise; `learned` is the size that went through
    silence                         NotTried: nothing is spent, the items are claimed again
    a bug in the connector          InDoubt: it may have been sent; the exception is kept in `bug`

`LeaseLost` passes through untouched: this worker may write nothing any more, so there is nothing to settle.
"""

from collections.abc import Generator, Iterator, Sequence

from core.http.errors import Contested, DeliveryError, InDoubt, NotTried, Rejected, TooLarge
from core.integrations.base import Connector, Item, Receipt

#: after this many bad records found by halving, a batch is given back: each costs up to 2·log2(n) + 1 calls
MAX_BAD = 3


class LeaseLost(Exception):
    """Raised by `before_call` when another worker has taken over the connection."""


class BatchDelivery:
    """Iterate it once. The items' keys are distinct (UNIQUE on the outbox).

    A batch of 8 with one bad record, all or nothing: 8 refused, 4 delivered, 4 refused, 2 delivered,
    2 refused, 1 delivered, 1 refused: 7 calls, seven receipts delivered and one Rejected.
    """

    def __init__(self, connector: Connector, items: Sequence[Item]) -> None:
        self._connector = connector
        self._items = list(items)
        self._split = False
        #: the largest batch that went through after a 413, or None
        self.learned: int | None = None
        #: the fault that the next call would meet too
        self.ended_by: DeliveryError | None = None
        #: receipts for items that were not given or already settled; dropped
        self.surplus = 0
        #: what the connector raised that is no DeliveryError; for the caller to log
        self.bug: Exception | None = None

    def __iter__(self) -> Iterator[Receipt]:
        waiting, bad = [self._items] if self._items else [], 0
        while waiting:
            batch = waiting.pop()
            left, fault = yield from self._call(batch)
            self._learn(batch, fault)
            if isinstance(fault, Rejected) and not isinstance(fault, Contested) and len(left) > 1:
                waiting += _halves(left)
                continue
            yield from _settle(left, fault)
            bad += bool(left) and isinstance(fault, Rejected)
            if _ends_batch(fault):
                self.ended_by = fault
            if waiting and (bad >= MAX_BAD or _ends_batch(fault)):
                yield from _settle([item for rest in reversed(waiting) for item in rest], not_tried(fault))
                return

    def _call(self, items: list[Item]) -> Generator[Receipt, None, tuple[list[Item], DeliveryError | None]]:
        """Pass receipts on; return the items without one, and the fault that ended the call."""
        left = {item.key: item for item in items}
        stray, fault = 0, None
        try:
            for receipt in self._connector.deliver(items):
                if left.pop(receipt.key, None) is None:
                    stray += 1
                    continue
                fault = receipt.fault if _ends_batch(receipt.fault) else None
                yield _plain(receipt)
        except LeaseLost:
            raise
        except DeliveryError as raised:
            return list(left.values()), raised
        except Exception as bug:  # noqa: BLE001 - a vendor module's bug must not lose what others were sent
            self.bug = bug
            return list(left.values()), InDoubt(_BUG)
        finally:
            self.surplus += stray
        if left and stray:
            return list(left.values()), InDoubt(_STRAY)
        return list(left.values()), not_tried(fault) if left else fault

    def _learn(self, batch: list[Item], fault: DeliveryError | None) -> None:
        if isinstance(fault, TooLarge):
            self._split = True
        elif self._split and fault is None:
            self.learned = max(self.learned or 0, len(batch))


_BUG = "The connector failed unexpectedly; the record may have arrived. Look at the log of this run."
_STRAY = "The connector answered for another record; this one may have arrived. Look for it at the vendor."


def _halves(items: list[Item]) -> list[list[Item]]:
    """The second half first: the caller takes from the end, and order is kept."""
    middle = (len(items) + 1) // 2
    return [items[middle:], items[:middle]]


def _ends_batch(fault: DeliveryError | None) -> bool:
    """A fault of the vendor or the connection: the next call would meet it too."""
    return fault is not None and not isinstance(fault, Rejected)


def not_tried(fault: DeliveryError | None) -> NotTried:
    """What becomes of an item whose turn did not come."""
    if isinstance(fault, NotTried):
        return fault
    reason = f" at: {fault.message}" if fault else ""
    return NotTried(f"Not tried: the batch stopped before this record{reason}")


def _settle(items: list[Item], fault: DeliveryError | None) -> Iterator[Receipt]:
    for item in items:
        yield _plain(Receipt(item.key, fault=fault))


def _plain(receipt: Receipt) -> Receipt:
    """A single item that is too large cannot be halved: it is the record's fault."""
    fault = receipt.fault
    if not isinstance(fault, TooLarge):
        return receipt
    message = f"This record alone is larger than the vendor accepts: {fault.message}"
    message += "" if "replay" in message else " Shorten its text, then replay."
    return Receipt(receipt.key, fault=Rejected(message, status=fault.status, body=fault.body))
