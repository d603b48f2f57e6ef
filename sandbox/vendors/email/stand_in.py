"""A mail server as a stand-in: who may send, which mail is one, and what it says when trouble is asked for."""

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from urllib.parse import urlsplit

from sandbox.contract import Answer, Kept, Request, Vendor, key_in, text_answer

USERNAME, PASSWORD = "hub@example.org", "sandbox-mail-password"
RECIPIENT, UNKNOWN = "soc@example.org", "nobody@example.org"
NEEDED = ("From", "To", "Subject", "Date", "Message-ID")
SEVERITY = re.compile(r"\[(critical|high|medium|low)\]")
ON_FAULT = {
    401: (535, "5.7.8 Authentication credentials invalid"),
    403: (553, "5.7.1 Sender address rejected: not owned by user"),
    429: (421, "4.7.28 Unusual rate of mail, try again later"),
    500: (451, "4.3.0 Requested action aborted: local error in processing"),
    503: (421, "4.3.2 Service not available"),
}


class Email(Vendor):
    """`answer` gets a mail as a request: the method is DATA, mail-from and rcpt-to are headers."""

    slug = "email"
    name = "E-mail"
    secrets = frozenset({"password"})
    over_http = False

    def __init__(self, port: int) -> None:
        self._port = port

    def credentials(self, base: str) -> dict[str, str]:
        return {
            "host": str(urlsplit(base).hostname),
            "port": str(self._port),
            "security": "none",
            "username": USERNAME,
            "password": PASSWORD,
            "from_address": USERNAME,
            "recipients": RECIPIENT,
        }

    def refuse(self, status: int, retry_after_s: float) -> Answer:
        code, words = ON_FAULT[status]
        return text_answer(code, words)

    def answer(self, request: Request) -> Answer:
        if max(map(len, request.body.split(b"\r\n"))) > 998:
            return text_answer(554, "5.6.0 a line is longer than 998 characters (RFC 5322)")
        mail = message_from_bytes(request.body, policy=default)
        missing = [name for name in NEEDED if len(mail.get_all(name, [])) != 1]
        if missing or mail.defects:
            return text_answer(554, f"5.6.0 not a proper mail: {', '.join(missing) or mail.defects[0]}")
        return text_answer(250, "2.0.0 Ok: queued", keep=(_kept(mail, request),))


def _kept(mail: EmailMessage, request: Request) -> Kept:
    subject = str(mail["Subject"])
    found = SEVERITY.search(subject)
    return Kept(
        key=key_in(str(mail["Message-ID"]), request.body.decode("utf-8", "replace")),
        title=subject,
        severity=found[1] if found else "",
        body={
            "mail_from": request.headers["mail-from"],
            "rcpt_to": request.headers["rcpt-to"].split(","),
            "mail": request.body.decode("utf-8", "replace"),
        },
        vendor_id=str(mail["Message-ID"]),
    )
