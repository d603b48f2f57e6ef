"""Slows down whoever guesses: failures by name, and how long that name must wait."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_WAIT_S, LONGEST_WAIT_S = 30, 900


@dataclass
class LoginLimit:
    """After `free` failures a name waits 30 s, then twice as long for each further one, up to 15 minutes.

    In memory: guessing must cost the guesser time and the hub nothing. A restart forgets it.
    """

    free: int
    size: int = 10_000  # names a guesser can make us remember; the oldest is forgotten first
    clock: Callable[[], float] = time.monotonic
    _failed: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait_s(self, name: str) -> int:
        """Whole seconds this name still has to wait; 0 when it may try."""
        with self._lock:
            _, until = self._failed.get(name, (0, 0.0))
        left = until - self.clock()
        return max(1, round(left)) if left > 0 else 0

    def fail(self, name: str) -> None:
        with self._lock:
            failures = self._failed.pop(name, (0, 0.0))[0] + 1
            over = failures - self.free
            pause_s = min(FIRST_WAIT_S * 2 ** min(over, 10), LONGEST_WAIT_S) if over >= 0 else 0
            self._failed[name] = (failures, self.clock() + pause_s)
            while len(self._failed) > self.size:
                self._failed.popitem(last=False)

    def forget(self, name: str | None = None) -> None:
        """This name has proved itself; without a name, everybody starts again."""
        with self._lock:
            if name is None:
                self._failed.clear()
            else:
                self._failed.pop(name, None)
