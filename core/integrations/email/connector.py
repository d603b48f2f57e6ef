"""E-mail by SMTP: one mail per record to all recipients, taken over by the server that was named."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import format_datetime

from core.http.errors import Misconfigured
from core.integrations.answers import one_by_one
from core.integrations.base import Connector, Item, Line, Receipt, Step
from core.integrations.email.message import build, message_id
from core.integrations.email.session import SmtpSession
from core.platform.secret import Secret

#: from the first byte to QUIT
DEADLINE_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Config:
    host: str
    port: int
    security: str = "starttls"
    username: str = ""
    password: Secret | None = None
    from_address: str
    recipients: Sequence[str]


class Email(Connector[Config]):
    Config = Config

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        return one_by_one(items, self._send)

    def check(self) -> Iterator[Step]:
        """Everything up to DATA, which alone makes a mail."""
        config = self.config
        with self._session(b"") as session:
            yield Step("network", True, f"A mail server answers at {config.host}:{config.port}.")
            if config.security == "none":
                yield Step("tls", None, "Mails and password cross the network unencrypted.", warning=True)
            else:
                yield Step("tls", True, "The connection is encrypted and the certificate trusted.")
            if config.username:
                self._sign_in(session)
                yield Step("credentials", True, f"The server accepts the sign-in of {config.username}.")
            else:
                yield Step("credentials", None, "No username is given: the server is not asked to sign in.")
            refused = session.address(config.from_address, list(config.recipients))
            yield Step("permission", True, f"The server lets {config.from_address} send.")
            if refused:
                yield Step("target", False, f"It refuses {_listed(refused)}. Correct the recipients.")
            else:
                yield Step(
                    "target", True, "It accepts every recipient; whether the mailbox exists it may not say."
                )

    def _send(self, item: Item) -> Receipt:
        config = self.config
        date = format_datetime(self.tools.now())
        mail = build(item, config.from_address, list(config.recipients), date)
        with self._session(mail) as session:
            if config.username:
                self._sign_in(session)
            refused = session.address(config.from_address, list(config.recipients))
            words = session.hand_over(mail)
        known = message_id(item, config.from_address)
        if refused:
            self.tools.heard(250, f"{words}; refused: {_listed(refused)}")
            return Receipt(item.key, vendor_id=f"{known}, not to {_listed(refused)}")
        return Receipt(item.key, vendor_id=known)

    @contextmanager
    def _session(self, mail: bytes) -> Iterator[SmtpSession]:
        """A session on which TLS, where it is wanted, is up; always ended."""
        config = self.config
        if config.port == 465 and config.security == "starttls":
            words = "Port 465 speaks TLS from the start. Set security to tls, or port to 587."
            raise Misconfigured(words, stage="tls")
        line = self.tools.dial(config.host, config.port, DEADLINE_S, mail, plain=config.security == "none")
        session = SmtpSession(line, config.from_address, self.tools.heard)
        try:
            if config.security == "tls":
                self._encrypt(line)
            session.greet()
            if config.security == "starttls":
                session.secure(config.host)
            yield session
        finally:
            session.leave()

    def _encrypt(self, line: Line) -> None:
        try:
            line.start_tls(self.config.host)
        except Misconfigured as fault:
            if "does not speak TLS" not in fault.message:
                raise
            where = f"Port {self.config.port} of {self.config.host}"
            raise Misconfigured(
                f"{where} does not speak TLS from the start. Set security to starttls, or port to 465.",
                stage="tls",
            ) from None

    def _sign_in(self, session: SmtpSession) -> None:
        if self.config.password is None:
            words = "A username is given without a password. Enter both or neither."
            raise Misconfigured(words, stage="credentials")
        session.sign_in(self.config.username, self.config.password.reveal())


def _listed(refused: dict[str, str]) -> str:
    return ", ".join(f"{recipient} ({words})" for recipient, words in refused.items())
