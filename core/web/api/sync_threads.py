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

#: INTERFACE: the answer comes after at most 25 s; what is before and after the wait takes the rest
ANSWER_S = 24.0
#: share of it in which a run starts further calls: one of ordinary length then still ends in time
CALLS = 0.8
MOST_AT_ONCE = 8
GRACE_S = 4.0  # of the 5 s in which the server must be gone

log = structlog.get_logger("hub.api")


class Syncs:
    """The runs of this process. Daemon threads: one that hangs in a vendor's answer must not keep the process."""

    def __init__(self, answer_s: float = ANSWER_S, most: int = MOST_AT_ONCE) -> None:
        self.answer_s, self.most = answer_s, most
        self.stopping = threading.Event()
        self._running: set[threading.Thread] = set()
        self._lock = threading.Lock()

    async def run(self, connection_id: str, action: str, who: Principal, *, drain: bool = False) -> Result:
        """What the run answers, or that it is still going. Raises what `sync.run` raises, and Busy."""
        since = datetime.now(UTC)
        before = await to_thread.run_sync(history.delivered_since, connection_id, since)
        future: Future[Result] = Future()
        work = partial(
            sync.run,
            connection_id,
            action,
            who=who,
            stopping=self.stopping.is_set,
            deadline_s=self.answer_s * CALLS,
            drain=drain,
        )
        self._start(work, future)
        done, _ = await asyncio.wait({asyncio.wrap_future(future)}, timeout=self.answer_s)
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
        while self._running and monotonic() < until:
            sleep(0.05)
        if self._running:
            housekeeping.abandon()

    def _start(self, work: Callable[[], Result], future: "Future[Result]") -> None:
        thread = threading.Thread(target=self._work, args=(work, future), name="api-sync", daemon=True)
        with self._lock:
            if len(self._running) >= self.most or self.stopping.is_set():
                raise Busy("The hub runs as many syncs as it can. Try again in a few seconds.")
            self._running.add(thread)
        thread.start()

    def _work(self, work: Callable[[], Result], future: "Future[Result]") -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  raised again where the answer is awaited
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            with self._lock:
                self._running.discard(threading.current_thread())


def _tell_late(connection_id: str, future: "Future[Result]") -> None:
    error = future.exception()
    if error is not None:
        log.error("sync failed after its answer", connection=connection_id, error=type(error).__name__)
