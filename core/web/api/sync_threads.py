"""Syncs that a request asked for: each in a thread of its own, answered in time even when it is not done."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from time import monotonic, sleep

import structlog
from anyio import to_thread

from core.access import Principal
from core.delivery import history, housekeeping, sync
from core.delivery.sync import Result
from core.platform.errors import Busy
from core.web import pools
from core.web.pools import Pool

#: INTERFACE: the answer comes after at most 25 s; what is before and after the wait takes the rest
ANSWER_S = 24.0
#: share of it in which a run starts further calls: one of ordinary length then still ends in time
CALLS = 0.8
GRACE_S = 4.0  # of the 5 s in which the server must be gone

log = structlog.get_logger("hub.api")


class Syncs:
    """The runs that requests to this process asked for. Pages begin theirs in the same pool."""

    def __init__(self, answer_s: float = ANSWER_S, pool: Pool = pools.SYNCS) -> None:
        self.answer_s, self.pool = answer_s, pool
        self.stopping = threading.Event()

    async def run(self, connection_id: str, action: str, who: Principal, *, drain: bool = False) -> Result:
        """What the run answers, or that it is still going. Raises what `sync.run` raises, and Busy."""
        until, since = monotonic() + self.answer_s, datetime.now(UTC)
        before = await to_thread.run_sync(history.delivered_since, connection_id, since)
        future = await self._begin(
            who,
            lambda: sync.run(
                connection_id,
                action,
                who=who,
                stopping=self.stopping.is_set,
                deadline_s=max(0.0, until - monotonic()) * CALLS,
                drain=drain,
            ),
        )
        done, _ = await asyncio.wait({asyncio.wrap_future(future)}, timeout=max(0.0, until - monotonic()))
        if done:
            return done.pop().result()
        future.add_done_callback(partial(_tell_late, connection_id))
        count = await to_thread.run_sync(history.delivered_since, connection_id, since) - before
        message = f"{count} delivered so far; the sync is still running. Its logs say how it ends."
        return Result(True, count, message, {"more": True, "running": True, "delivered": count})

    def stop(self) -> None:
        """The server ends: start nothing more, and what cannot end in time is in doubt at once."""
        self.stopping.set()
        until = monotonic() + GRACE_S
        while self.pool.taken and monotonic() < until:
            sleep(0.05)
        if self.pool.taken:
            housekeeping.abandon()

    async def _begin(self, who: Principal, work: Callable[[], Result]) -> "Future[Result]":
        await self.pool.enter(who.user_id)
        if self.stopping.is_set():
            self.pool.leave(who.user_id)
            raise Busy("The hub is being stopped. Try again when it is there again.")
        return self.pool.carry_on(who.user_id, work)


def _tell_late(connection_id: str, future: "Future[Result]") -> None:
    error = future.exception()
    if error is not None:
        log.error("sync failed after its answer", connection=connection_id, error=type(error).__name__)
