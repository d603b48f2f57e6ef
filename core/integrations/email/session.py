"""One SMTP session: each refusal, silence and broken line becomes the fault that its moment means."""

import contextlib
import re
import smtplib
import socket
from collections.abc import Callable
from functools import partial
from typing import cast

from core.http.errors import (
    DeliveryError,
    InDoubt,
    Misconfigured,
    Rejected,
    Stage,
    Throttled,
    TooLarge,
    Unavailable,
)
from core.integrations.base import Line
from core.platform.text import one_line

WORDS_CHARS = 200
_SIGN_IN = "the sign-in"
#: RFC 3463: X.7.x is policy; providers use 4.7 for their rates ("4.7.28 … unusual rate of mail")
_RATE = re.compile(r"^4\.7\.|\brate\b|too many|too fast|throttl", re.IGNORECASE)
#: said after the mail, too: sign in first (RFC 4954), sender not allowed (RFC 5321; Exchange's 5.7.57 and 5.7.60)
_OF_SENDER = frozenset({530, 534, 535, 538, 553})
_NOT_ALLOWED = re.compile(r"^5\.7\.(57|60)\b")
Told = Callable[[int | None, str], str]


class SmtpSession(smtplib.SMTP):
    """Speaks over a line the hub has dialled. `told` keeps each answer and takes secrets out of it."""

    def __init__(self, line: Line, sender: str, told: Told) -> None:
        # with a host it would dial, and without a name of its own ask the resolver for one
        super().__init__(local_hostname=sender.rpartition("@")[2])
        self.line = line
        self.told = told
        self.sock = cast(socket.socket, line)

    def greet(self) -> None:
        self._expect("the connection", self.getreply, 220)
        self._expect("EHLO", self.ehlo, 250)

    def secure(self, host: str) -> None:
        """STARTTLS or nothing: a server, or somebody in between, that does not offer it gets no mail."""
        if not self.has_extn("starttls"):
            raise Misconfigured(
                "The mail server does not offer STARTTLS, so nothing was sent. Use security=tls with port 465, "
                "or ask its operator.",
                stage="tls",
            )
        self._expect("STARTTLS", lambda: self.docmd("STARTTLS"), 220)
        self.file = None  # what was said before counts no more: it may have been put in on the way
        self.line.start_tls(host)
        self.ehlo_resp, self.esmtp_features, self.does_esmtp = None, {}, False
        self._expect("EHLO", self.ehlo, 250)

    def sign_in(self, username: str, password: str) -> None:
        try:
            self.login(username, password)
        except smtplib.SMTPAuthenticationError as error:
            raise self._refused(_SIGN_IN, error.smtp_code, _words(error.smtp_error)) from None
        except smtplib.SMTPServerDisconnected:
            raise self._silent(_SIGN_IN) from None
        except smtplib.SMTPException:
            raise Misconfigured(
                "The mail server offers no sign-in the hub knows (PLAIN, LOGIN, CRAM-MD5). "
                "Leave username and password out if it needs none, or use the port for submission (587 or 465).",
                stage="credentials",
            ) from None
        except OSError:
            raise self._silent(_SIGN_IN) from None

    def address(self, sender: str, recipients: list[str]) -> dict[str, str]:
        """The refused recipients with the server's words. Raises when it takes none."""
        self._expect("the sender", lambda: self.mail(sender), 250)
        refused: dict[str, tuple[int, str]] = {}
        for recipient in recipients:
            code, raw = self._ask("the recipients", partial(self.rcpt, recipient))
            if code not in (250, 251, 252):
                refused[recipient] = (code, _words(raw))
        if len(refused) < len(recipients):
            return {to: self.told(code, f"{code} {words}") for to, (code, words) in refused.items()}
        # while one of them may be taken later, all are tried again
        code, words = min(refused.values())
        raise self._refused("every recipient", code, words)

    def hand_over(self, mail: bytes) -> str:
        """The server's words for having taken the mail."""
        limit = self.esmtp_features.get("size", "")
        if limit.isdecimal() and 0 < int(limit) < len(mail):
            raise TooLarge(f"The mail has {len(mail):,} bytes, and the server takes {int(limit):,}.")
        self._expect("DATA", lambda: self.docmd("DATA"), 354)
        try:
            self.send(re.sub(rb"(?m)^\.", b"..", mail) + b".\r\n")
            code, raw = self.getreply()
        except (OSError, smtplib.SMTPException):
            self.told(None, "")
            raise InDoubt("The mail was sent, but no answer came: it may have arrived.") from None
        if code != 250:
            raise self._refused("the mail", code, _words(raw))
        return self.told(code, f"{code} {_words(raw)}")

    def leave(self) -> None:
        """Politely where it still can be; the line is closed in any case."""
        with contextlib.suppress(OSError, DeliveryError):
            self.putcmd("QUIT")  # its answer is not waited for: the mail is settled
        self.close()

    def _expect(self, stage: str, ask: Callable[[], tuple[int, bytes]], wanted: int) -> None:
        code, raw = self._ask(stage, ask)
        if code != wanted:
            raise self._refused(stage, code, _words(raw))

    def _ask(self, stage: str, ask: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
        """Before the mail is handed over, silence means that nothing was delivered."""
        try:
            return ask()
        except smtplib.SMTPResponseException:
            raise Misconfigured(_NO_SMTP, stage="target") from None
        except OSError:  # smtplib's own for a broken line is one too
            raise self._silent(stage) from None

    def _silent(self, stage: str) -> Unavailable:
        self.told(None, "")
        said = f"The mail server broke off or did not answer at {stage}."
        return Unavailable(said, "Nothing was sent.", stage="network")

    def _refused(self, stage: str, code: int, words: str) -> DeliveryError:
        if stage == _SIGN_IN:
            # a server may repeat what it was sent: name and password in base64
            words = re.sub(r"[A-Za-z0-9+/=]{16,}", "…", words)
        words = self.told(code, words)
        said = f"The mail server answered {code} ({words}) to {stage}"
        if not 400 <= code < 600:
            return Misconfigured(_NO_SMTP, stage="target")
        if code < 500:
            kind = Throttled if _RATE.search(words) and stage != _SIGN_IN else Unavailable
            return kind(f"{said}.", status=code, body=words, stage=_STAGES[stage])
        if stage == "the mail" and code not in _OF_SENDER and not _NOT_ALLOWED.search(words):
            fault = TooLarge if code == 552 else Rejected
            return fault(
                f"{said}.",
                "Correct the mapping or the server's filter, then replay.",
                status=code,
                body=words,
            )
        advice = _ADVICE.get(stage, "Ask its operator.")
        return Misconfigured(f"{said}. {advice}", status=code, body=words, stage=_STAGES[stage])


_NO_SMTP = "What answers there speaks no SMTP. Correct host and port."
#: what fails in a connection test by a refusal there; what comes after `the sender` sends a mail
_STAGES: dict[str, Stage] = {
    **dict.fromkeys(("the connection", "EHLO", "DATA", "the mail"), "answer"),
    "STARTTLS": "tls",
    _SIGN_IN: "credentials",
    "the sender": "permission",
    **dict.fromkeys(("the recipients", "every recipient"), "target"),
}
_ADVICE = {
    _SIGN_IN: "Check username and password; with multi-factor sign-in it must be an app password, and the "
    "provider must allow SMTP sign-in.",
    "the sender": "The account may not send from this address, or must sign in first. Correct from_address, "
    "username and security.",
    "the mail": "Sign in first, or correct from_address: the account may not send from it.",
    "every recipient": "Correct the recipients, or let the server relay to them for this sender.",
    "the connection": "It does not talk to this machine. Ask its operator.",
}


def _words(raw: bytes | str) -> str:
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
    return one_line(text, WORDS_CHARS)
