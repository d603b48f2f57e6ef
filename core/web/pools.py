"""Who may have how much of this process at once: a pool of places for each kind of work, shared by persons.

Each kind has places of its own, so that none can starve another. One person holds a share of them at most. Who waits
is taken by turns of persons, not of requests: forty requests of one do not stand before the one of another.
"""

import asyncio
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from core.platform.errors import Busy

T = TypeVar("T")


class Pool:
    """At most `size` at once, `share` of them for one person; Busy for who has waited for `wait_s`.

    For coroutines (`place`, `run`) and for threads (`held`, `begin`) alike: a person is the same one at every door.
    """

    def __init__(self, what: str, size: int, share: int, wait_s: float) -> None:
        self.what, self.size, self.share, self.wait_s = what, size, share, wait_s
        self._held: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[Future[None]]] = OrderedDict()
        self._lock = threading.Lock()
        self._threads = CapacityLimiter(size)  # never asked for more: whoever is there has a place

    @property
    def taken(self) -> int:
        return self._held.total()

    @asynccontextmanager
    async def place(self, person: str) -> AsyncIterator[None]:
        """Raises Busy."""
        await self.enter(person)
        try:
            yield
        finally:
            self.leave(person)

    async def run(self, person: str, work: Callable[..., T], *given: object) -> T:
        """In a thread. Raises Busy, and what `work` raises."""
        async with self.place(person):
            return await to_thread.run_sync(partial(work, *given), limiter=self._threads)

    @contextmanager
    def held(self, person: str) -> Iterator[None]:
        """`place`, for a thread. Raises Busy."""
        self._wait(person)
        try:
            yield
        finally:
            self.leave(person)

    def begin(self, person: str, work: Callable[[], T]) -> "Future[T]":
        """`run`, for a thread that does not wait for the end. Raises Busy."""
        self._wait(person)
        return self.carry_on(person, work)

    def carry_on(self, person: str, work: Callable[[], T]) -> "Future[T]":
        """Work in a thread that gives back the place its person has taken.

        A daemon: one that hangs in a vendor's answer must not keep the process.
        """
        future: Future[T] = Future()
        name = f"hub-{self.what}"
        threading.Thread(target=self._carry, args=(person, work, future), name=name, daemon=True).start()
        return future

    async def enter(self, person: str) -> None:
        """Raises Busy. Whoever enters leaves."""
        turn = self._ask(person)
        if turn.done():
            return
        try:
            await asyncio.wait({asyncio.wrap_future(turn)}, timeout=self.wait_s)
        except asyncio.CancelledError:
            if not self._give_up(person, turn):
                self.leave(person)
            raise
        if self._give_up(person, turn):
            raise self._busy(person)

    def leave(self, person: str) -> None:
        with self._lock:
            self._held[person] -= 1
            if not self._held[person]:
                del self._held[person]
            self._admit()

    def _wait(self, person: str) -> None:
        turn = self._ask(person)
        wait([turn], self.wait_s)
        if self._give_up(person, turn):
            raise self._busy(person)

    def _ask(self, person: str) -> "Future[None]":
        turn: Future[None] = Future()
        with self._lock:
            self._waiting.setdefault(person, deque()).append(turn)
            self._admit()
        return turn

    def _give_up(self, person: str, turn: "Future[None]") -> bool:
        """False when its turn came meanwhile: the place is taken."""
        with self._lock:
            waiting = self._waiting.get(person, deque())
            if turn not in waiting:
                return False
            waiting.remove(turn)
            if not waiting:
                del self._waiting[person]
            return True

    def _admit(self) -> None:
        """Whoever may come in now: the next of each person in turn."""
        while self._held.total() < self.size:
            person = next((each for each in self._waiting if self._held[each] < self.share), None)
            if person is None:
                return
            turn = self._waiting[person].popleft()
            self._waiting.move_to_end(person)
            if not self._waiting[person]:
                del self._waiting[person]
            self._held[person] += 1
            turn.set_result(None)

    def _busy(self, person: str) -> Busy:
        if self._held[person] >= self.share:
            return Busy(
                f"{self.share} of your {self.what} are under way, as many as one person may have. "
                "Try again when one of them has ended."
            )
        return Busy(f"The hub has as many {self.what} under way as it can. Try again in a few seconds.")

    def _carry(self, person: str, work: Callable[[], T], future: "Future[T]") -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  raised again where the result is awaited
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            self.leave(person)


#: who is asking: a look at a token or a cookie. By address, for nobody is known yet
AUTHENTICATION = Pool("requests", size=8, share=4, wait_s=10)
#: a password is hashed for 0.1 s. By address
SIGN_IN = Pool("sign-ins", size=4, share=2, wait_s=10)
#: /readyz and /metrics. By address
PROBES = Pool("probes", size=4, share=2, wait_s=5)
#: whatever the API is asked for that has no pool below
REQUESTS = Pool("requests", size=16, share=8, wait_s=10)
#: large bodies in memory, while they come in and until they are answered: 160 MiB of them
BODIES = Pool("large requests", size=32, share=4, wait_s=10)
#: what is parsed holds the interpreter, so two at a time
PARSING = Pool("large requests", size=2, share=1, wait_s=10)
#: records that are being stored; SQLite has one writer
INGEST = Pool("requests with records", size=4, share=2, wait_s=20)
#: a test waits for a vendor that may be silent for 20 s
TESTS = Pool("tests", size=12, share=3, wait_s=10)
PREVIEWS = Pool("previews", size=4, share=2, wait_s=10)
#: from the API and from pages; the answer has 25 s with this wait in it
SYNCS = Pool("syncs", size=16, share=4, wait_s=5)

#: threads that FastAPI takes for what has a place already, out of one pool for the whole process
SHARED_THREADS = REQUESTS.size + TESTS.size + PREVIEWS.size
