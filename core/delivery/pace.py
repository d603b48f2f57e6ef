"""Pure: how many messages one claim takes, and how many are on their way at once, by what a call took so far.

A claim costs two transactions, however many messages it has; a kill leaves at most one claim in doubt, and something
more severe waits for one claim at most. So a claim has what CLAIM_S hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

#: messages of the first claim, when nothing is known, and of any
FIRST, MOST = 5, 250
#: no message of a claim is begun later than this after its first one
CLAIM_S = 2.0
#: A call more at once is worth its thread for each so many ms that the vendor takes: several times what the hub itself
#: needs for a message, or threads that wait for one another would look like a slow vendor, and make more of them
OWN_MS = 5.0


@dataclass
class Pace:
    """Of one run of a connection that sends one message per call. `in_flight`: so many calls at once at most."""

    in_flight: int
    call_ms: float | None = None  # lately, in the mean

    @property
    def lanes(self) -> int:
        """Calls at the same time."""
        return 1 if self.call_ms is None else max(1, min(self.in_flight, int(self.call_ms / OWN_MS)))

    @property
    def messages(self) -> int:
        """Messages of the next claim."""
        if self.call_ms is None:
            return FIRST
        return max(1, min(MOST, int(CLAIM_S * 1000 * self.lanes / max(self.call_ms, 1.0))))

    def learn(self, calls_ms: Sequence[float]) -> None:
        """Take the calls of a claim into account."""
        if calls_ms:
            mean = sum(calls_ms) / len(calls_ms)
            self.call_ms = mean if self.call_ms is None else (self.call_ms + mean) / 2
