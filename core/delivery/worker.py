"""One worker's runs: what it is at, when a run is to end, and what went wrong with one."""

import threading
import time

import structlog

from core.delivery import heartbeat, housekeeping, schedule, sync, workers
from core.platform.errors import Busy, Conflict, HubError, NotFound, Unusable
from core.storage import db

log = structlog.get_logger("hub.worker")


class Worker:
    """`threads` runs at once; none where it only keeps the clock."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.stopping = threading.Event()
        self.is_crowded = False  # at the last beat a run waited that no worker had a thread for
        self.running: set[str] = set()
        self._lock = threading.Lock()
        self._beats = threading.Thread(target=self._beat_on, name="beat", daemon=True)

    def start(self) -> None:
        self._beat()
        self._beats.start()

    def run(self, connection_id: str) -> None:
        """Run a connection if it is still due. Raises nothing: what is left undone is due again, by its row."""
        begun = time.monotonic()

        def is_over() -> bool:
            is_long = time.monotonic() - begun >= schedule.SLICE_S
            return self.stopping.is_set() or (self.is_crowded and is_long)

        if self.stopping.is_set():
            return
        with self._lock:
            self.running.add(connection_id)
        try:
            result = sync.run(connection_id, "scheduled", stopping=is_over, only_due=True)
            if result.count or not result.success:
                log.info("synced", connection=connection_id, message=result.message, **result.metadata)
        except (Conflict, NotFound) as error:  # somebody else was faster, or deleted it
            log.info("not synced", connection=connection_id, reason=error.message)
        except (Busy, Unusable) as error:  # the database; the connection is not to blame
            log.warning("not synced", connection=connection_id, reason=error.message)
        except Exception:
            log.exception("run failed", connection=connection_id)
        finally:
            with self._lock:
                self.running.discard(connection_id)

    def stop(self) -> bool:
        """Give back what is held, and say goodbye. False when a call had to be left open."""
        self.stopping.set()
        is_idle = not self.running
        try:
            housekeeping.abandon()
            _leave()
        except HubError as error:  # what is open runs out by its lease
            log.warning("stopped without the database", reason=error.message)
        return is_idle

    def _beat_on(self) -> None:
        """Trouble is told when it begins and when it is over."""
        is_heard = True
        while not self.stopping.wait(heartbeat.BEAT_S):
            was_heard, is_heard = is_heard, False
            try:
                self._beat()
                is_heard = True
                if not was_heard:
                    log.info("heard again")
            except HubError as error:
                if was_heard:
                    log.warning("not heard of", reason=error.message)
            except Exception:
                log.exception("beat failed")

    @db.unit
    def _beat(self) -> None:
        with db.session() as session:
            now = db.now(session)
            workers.beat(session, self.threads, len(self.running), now)
            found = workers.read(session, now)
        self.is_crowded = found is not None and found.queued > 0


@db.unit
def _leave() -> None:
    with db.session() as session:
        workers.leave(session, db.now(session))
