"""The highest attempt that was sent from this machine, in a file of the run folder: a database whose attempts end
below it was put back from a backup.

It is written between a claim's commit and its call, and not synced: a machine that loses power may lose the
last numbers of it, and with them only the notice.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

_DIGITS = 20  # always as long, so that a number is replaced in place

log = structlog.get_logger("hub.watermark")


class Watermark:
    """Of one database. No process waits for another one at it, for that one may be stopped: of two that write at
    one moment the lower number may stay, until the next.

    Where the file cannot be used that is said once, and sending goes on: `hub restored` does the same by hand.
    """

    def __init__(self, folder: Path, database: int) -> None:
        self.path = folder / f"attempts-{database:016x}.mark"
        self.is_kept = True
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            self._say(error)

    def read(self) -> int:
        """0 where there is none, or nothing that makes sense."""
        with self._opened() as file:
            return 0 if file is None else _read(file)

    def reach(self, number: int) -> None:
        """At least `number` from now on."""
        with self._opened() as file:
            if file is not None and number > _read(file):
                self._write(file, number)

    def put_back(self, number: int) -> None:
        """To where a restored database ends."""
        with self._opened() as file:
            if file is not None:
                self._write(file, number)

    @contextmanager
    def _opened(self) -> Iterator[int | None]:
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            self._say(error)
            yield None
            return
        try:
            yield file
        finally:
            os.close(file)

    def _write(self, file: int, number: int) -> None:
        try:
            os.pwrite(file, b"%0*d\n" % (_DIGITS, number), 0)
            self.is_kept = True
        except OSError as error:
            self._say(error)

    def _say(self, error: OSError) -> None:
        if self.is_kept:
            log.warning("mark of what was sent not kept", file=str(self.path), reason=error.strerror)
        self.is_kept = False


def _read(file: int) -> int:
    text = os.pread(file, _DIGITS, 0)
    return int(text) if text.isdigit() else 0
