"""The fork server: imports, tables and first statements are paid once, so that kills hit work and not start-up.

It reads orders from stdin and says on stdout what happens to its children; when stdin ends, so do they.
"""

import gc
import json
import os
import select
import signal
import sys
import time
import traceback
from typing import Any

from tests.crash import roles
from tests.crash.roles import Order, Setup

LIFE_S = 120  # of a child that nobody ends


class Server:
    def __init__(self, said: int) -> None:
        self.said = said
        self.children: set[int] = set()
        self.unread = b""
        self.woken, wake = os.pipe()
        os.set_blocking(self.woken, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wake)

    def say(self, **words: Any) -> None:
        """One line; short enough for a pipe to take it whole, whoever is killed meanwhile."""
        os.write(self.said, json.dumps(words).encode() + b"\n")

    def serve(self) -> None:
        while True:
            ready, _, _ = select.select([0, self.woken], [], [])
            if self.woken in ready:
                os.read(self.woken, 4096)
                self._bury()
            if 0 in ready and not self._obey():
                break
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)

    def _obey(self) -> bool:
        data = os.read(0, 65536)
        *lines, self.unread = (self.unread + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "role" in order:
                self._fork(Order(**order))
            elif order["pid"] in self.children:  # not one that has ended: its number may be someone else's
                os.kill(order["pid"], order["signal"])
        return bool(data)

    def _fork(self, order: Order) -> None:
        pid = os.fork()
        if pid == 0:
            self._become(order)
        self.children.add(pid)
        self.say(pid=pid, started=order.number)

    def _bury(self) -> None:
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self.children.discard(pid)
            self.say(pid=pid, ended=os.waitstatus_to_exitcode(status))

    def _become(self, order: Order) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.alarm(LIFE_S)
        status = 0
        try:
            roles.play(order, lambda **words: self.say(pid=os.getpid(), **words))
        except BaseException:  # noqa: BLE001 - said, and the test fails by it
            self.say(pid=os.getpid(), failed=traceback.format_exc()[-3000:])
            status = 1
        os._exit(status)


def main() -> None:
    setup = Setup(**json.loads(sys.stdin.readline()))
    server = Server(os.dup(1))
    log = os.open(setup.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    roles.prepare(setup)
    gc.freeze()
    server.say(pid=os.getpid(), ready=time.time())
    server.serve()


if __name__ == "__main__":
    main()
