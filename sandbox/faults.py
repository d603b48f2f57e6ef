"""What can be asked to go wrong at a stand-in, how often, and whose turn it is."""

import random
from collections.abc import Set
from dataclasses import dataclass, field

#: name -> what it does, in the words the page shows
FAULTS = {
    "401": "refuses the credentials",
    "403": "refuses the permission",
    "429": "asks to slow down, with the vendor's Retry-After",
    "500": "fails inside",
    "503": "is busy",
    "html": "answers 200 with a sign-in page, as a proxy does",
    "slow": "accepts, and answers late",
    "lost_answer": "accepts and keeps, then closes the connection without a byte",
    "lost_before": "keeps nothing, and closes the connection without a byte",
    "reset": "accepts and keeps, then resets the connection",
}
#: come instead of the vendor's own answer, on any request
INSTEAD = frozenset({"401", "403", "429", "500", "503", "html"})
#: strike only a request that delivers something, so that `once` is not spent on a look-up
ON_DELIVERY = frozenset({"lost_answer", "lost_before", "reset"})
SECONDS = 2.0


@dataclass(slots=True)
class Fault:
    """`times` left (None: until cleared), `share` of the requests it strikes (None: all).

    `seconds` is how late `slow` answers, and what 429 and 503 put into Retry-After.
    """

    vendor: str
    name: str
    times: int | None = None
    share: float | None = None
    seed: int = 0
    seconds: float = SECONDS
    dice: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise ValueError(f'There is no fault "{self.name}"; there are {", ".join(FAULTS)}.')
        if self.times is not None and self.share is not None:
            raise ValueError("Give either times or share, not both.")
        if self.times is not None and self.times < 1:
            raise ValueError("times is a whole number from 1 up.")
        if self.share is not None and not 0 <= self.share <= 1:
            raise ValueError("share is a number from 0 to 1.")
        if not 0 <= self.seconds <= 600:
            raise ValueError("seconds is a number from 0 to 600.")
        self.dice = random.Random(self.seed)

    def strikes(self) -> bool:
        """Whether it strikes this time; counts it."""
        if self.share is not None:
            return self.dice.random() < self.share
        if self.times is None:
            return True
        self.times -= 1
        return True

    def sentence(self) -> str:
        if self.share is not None:
            return f"{self.share:.0%} of the requests"
        if self.times is None:
            return "until cleared"
        return "the next request" if self.times == 1 else f"the next {self.times} requests"


class Faults:
    """The faults asked for. Not thread-safe: SandboxState holds its lock around every call."""

    def __init__(self) -> None:
        self._active: dict[tuple[str, str], Fault] = {}

    def set(self, fault: Fault) -> None:
        self._active[fault.vendor, fault.name] = fault

    def clear(self, vendor: str | None = None) -> None:
        self._active = {at: f for at, f in self._active.items() if vendor is not None and f.vendor != vendor}

    def active(self, vendor: str | None = None) -> list[Fault]:
        return [f for f in self._active.values() if vendor is None or f.vendor == vendor]

    def draw(self, vendor: str, names: Set[str]) -> Fault | None:
        """The fault among `names` that strikes now, if any; one that is used up is gone after it."""
        for fault in self.active(vendor):
            if fault.name in names and fault.strikes():
                if fault.times == 0:
                    del self._active[fault.vendor, fault.name]
                return fault
        return None
