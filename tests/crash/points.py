"""The named places in the flow at which a process can be killed or stopped."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import core.delivery.outbox
import core.delivery.runs
import core.records
from core.delivery import export, send, sync
from core.http import transport
from core.records import intake

Act = Callable[[], None]


@dataclass(frozen=True)
class Place:
    """A function, and whether the point lies before or after it. A call that did nothing does not count."""

    owner: Any
    function: str
    before: bool = False
    #: of the result of a call, or before it of its arguments
    counts: Callable[[Any], bool] = lambda result: True
    #: no transaction is open here, so a stopped process holds nobody up
    stoppable: bool = False


def _did_something(result: Any) -> bool:
    return bool(result)


def _awaits_answer(_arguments: Any) -> bool:
    call = transport._call.get()
    return call.sent and not call.heard


PLACES = {
    "run leased": Place(sync, "_start", stoppable=True),
    "export before commit": Place(export, "select_new", counts=lambda found: bool(found.rows)),
    "export committed": Place(sync, "export", stoppable=True),
    "claim before commit": Place(core.delivery.outbox, "claim", counts=_did_something),
    "claim committed": Place(send, "send", before=True, stoppable=True),
    "call allowed": Place(send.Send, "before"),
    "call sent": Place(transport.Stream, "read", before=True, counts=_awaits_answer, stoppable=True),
    "call answered": Place(send.Send, "close", before=True, stoppable=True),
    "close before commit": Place(core.delivery.outbox, "end_attempt"),
    "close committed": Place(send.Send, "close", stoppable=True),
    "run ends before commit": Place(core.delivery.runs, "finish"),
    "reap before commit": Place(core.delivery.outbox, "reap", counts=_did_something),
    "ingest before commit": Place(core.records, "store", counts=lambda stored: stored.new > 0),
    "ingest committed": Place(intake, "store", counts=lambda stored: stored.new > 0),
}
OF_PRODUCERS = ("ingest before commit", "ingest committed")
OF_WORKERS = tuple(name for name in PLACES if name not in OF_PRODUCERS)
#: not `call allowed`: between the last look at the lease and the first byte there is no fence but the vendor's
STOPPABLE = tuple(name for name, place in PLACES.items() if place.stoppable)


def arm(name: str, nth: int, act: Act) -> None:
    """From now on the `nth` passing of the point calls `act`, in this process."""
    place = PLACES[name]
    real = getattr(place.owner, place.function)
    left = nth

    def passing(found: Any) -> None:
        nonlocal left
        if place.counts(found):
            left -= 1
            if left == 0:
                act()

    def wrapped(*arguments: Any, **named: Any) -> Any:
        if place.before:
            passing(arguments)
        result = real(*arguments, **named)
        if not place.before:
            passing(result)
        return result

    setattr(place.owner, place.function, wrapped)
