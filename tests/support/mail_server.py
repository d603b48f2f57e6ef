"""A real mail server (aiosmtpd) that says what a case wants and keeps what it was handed.

One script per session: {greeting, auth, mail, rcpt: {address: answer}, data}. What a script does not name is
accepted. `data` may be {error: closed | read_timeout}: the mail is kept, the answer is not given.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult

from sandbox.vendors.email import mail_server as mailroom


class Session(SMTP):
    """Everything but the greeting goes as aiosmtpd has it."""

    script: dict[str, Any] | None = None

    async def push(self, status: str | bytes) -> None:
        if self.script is None:
            self.script = self.event_handler.next_script()
            greeting = self.script.get("greeting")
            if greeting:
                await super().push(greeting)
                self.transport.close()
                return
        await super().push(status)


class Listener(mailroom.Listener):
    def factory(self) -> Session:
        return Session(self.handler, **self.SMTP_kwargs)


class MailServer:
    """Its `answers` and `requests` are those of the HTTP one in test_connectors."""

    def __init__(self, answers: list[dict[str, Any]], **options: Any) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self.signed_in: list[tuple[str, str]] = []
        self.encrypted: list[bool] = []
        self._is_up = False
        listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"  # as the placeholders of a case want it
        usual = {
            "authenticator": self._authenticate,
            "auth_require_tls": False,
            "server_hostname": "mx.example.com",
        }
        context = options.pop("implicit_tls", None)
        self._listener = Listener(self, listening, ssl_context=context, **(usual | options))

    @contextmanager
    def running(self) -> Iterator["MailServer"]:
        self._listener.start()
        self._is_up = True
        try:
            yield self
        finally:
            self._listener.stop()

    def next_script(self) -> dict[str, Any]:
        """The first session is aiosmtpd's own, which looks whether the port answers."""
        return self.answers.pop(0) if self._is_up and self.answers else {}

    def _authenticate(self, server: Session, session: Any, envelope: Any, how: str, given: Any) -> AuthResult:
        refusal = (server.script or {}).get("auth")
        if refusal:
            return AuthResult(success=False, handled=False, message=refusal)
        self.signed_in.append((given.login.decode(), given.password.decode()))
        return AuthResult(success=True)

    async def handle_MAIL(
        self, server: Session, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        refusal: str | None = (server.script or {}).get("mail")
        if not refusal:
            envelope.mail_from = address
        return refusal or "250 OK"

    async def handle_RCPT(
        self, server: Session, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        refusal: str | None = (server.script or {}).get("rcpt", {}).get(address)
        if not refusal:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"

    async def handle_DATA(self, server: Session, session: Any, envelope: Any) -> str:
        self.encrypted.append(isinstance(server.transport.get_extra_info("ssl_object"), ssl.SSLObject))
        self.requests.append(
            {
                "method": "SMTP",
                "url": f"{envelope.mail_from} -> {','.join(envelope.rcpt_tos)}",
                "headers": {},
                "body": envelope.original_content.decode(),
            }
        )
        answer: Any = (server.script or {}).get("data", "250 2.0.0 queued as 4F2A")
        if not isinstance(answer, dict):
            return str(answer)
        if answer["error"] == "read_timeout":
            await asyncio.sleep(600)  # ends when the client hangs up
        server.transport.abort()
        return "250 nobody hears this"
