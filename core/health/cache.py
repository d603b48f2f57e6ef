"""Keeps for a while what was read and can hardly change any more."""

import time
from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Shelf(Generic[T]):
    """At most `most` things, each for `keep_s` seconds; the least used goes first. For several threads."""

    def __init__(self, *, most: int, keep_s: float) -> None:
        self._most, self._keep_s = most, keep_s
        self._things: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> T | None:
        with self._lock:
            until, thing = self._things.get(key, (0.0, None))
            if thing is None or until < time.monotonic():
                return None
            self._things.move_to_end(key)
            return thing

    def put(self, key: Hashable, thing: T) -> None:
        with self._lock:
            self._things[key] = (time.monotonic() + self._keep_s, thing)
            self._things.move_to_end(key)
            while len(self._things) > self._most:
                self._things.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._things.clear()
