"""SMTP on a loopback port, by aiosmtpd: signs senders in, and takes each mail to the state as a request."""

import asyncio
import errno
import logging
import socket
import warnings
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from sandbox.contract import BODY_BYTES_MAX, Request
from sandbox.state import SandboxState
from sandbox.vendors.email.stand_in import PASSWORD, UNKNOWN, USERNAME

SLUG = "email"
# A sign-in without TLS is what a stand-in on loopback offers; aiosmtpd warns of it at each session.
warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS")
logging.getLogger("mail.log").setLevel(logging.ERROR)


class Listener(Controller):
    """Answers on a socket that listens already: a port that is only chosen may be somebody else's when it starts."""

    def __init__(self, handler: Any, listening: socket.socket, **options: Any) -> None:
        super().__init__(handler, *listening.getsockname(), **options)
        self._listening = listening

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._listening, ssl=self.ssl_context)


class Mailroom:
    """Listens from the moment it is made; answers from `start` on."""

    def __init__(self, host: str, port: int) -> None:
        try:
            self._listening = socket.create_server((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise OSError(
                f"Port {port} is already in use. Give the sandbox another port for mail."
            ) from error
        self.port: int = self._listening.getsockname()[1]
        self._listener: Listener | None = None

    def start(self, state: SandboxState) -> None:
        self._listener = Listener(
            Clerk(state),
            self._listening,
            ready_timeout=20,
            server_hostname="sandbox.localhost",
            data_size_limit=BODY_BYTES_MAX,
            auth_required=True,
            auth_require_tls=False,
            authenticator=_authenticate,
        )
        self._listener.start()

    def stop(self) -> None:
        if self._listener is not None:
            self._listener.stop()
            self._listener = None
        self._listening.close()


class Clerk:
    """What aiosmtpd asks at each step of a session."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    async def handle_MAIL(
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address != USERNAME:
            return "553 5.7.1 Sender address rejected: not owned by user"
        envelope.mail_from = address
        return "250 2.1.0 Ok"

    async def handle_RCPT(
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address == UNKNOWN:
            return "550 5.1.1 User unknown"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        headers = {"mail-from": envelope.mail_from, "rcpt-to": ",".join(envelope.rcpt_tos)}
        request = Request("DATA", "/", {}, headers, envelope.original_content)
        answer = self._state.answer(self._state.vendors[SLUG], request, "")
        await asyncio.sleep(answer.wait_s)
        if answer.cut:
            cast(asyncio.Transport, server.transport).abort()
        return f"{answer.status} {answer.body.decode('ascii', 'replace').splitlines()[0]}"


def _authenticate(server: SMTP, session: Any, envelope: Any, how: str, given: Any) -> AuthResult:
    known = LoginPassword(USERNAME.encode(), PASSWORD.encode())
    return AuthResult(success=given == known, handled=False)
