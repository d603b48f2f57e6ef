"""The mail server: what it takes and refuses, and how it fails when asked to."""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from sandbox import Sandbox
from sandbox.vendors.email.stand_in import PASSWORD, RECIPIENT, UNKNOWN, USERNAME
from tests.sandbox.support import KEY, http

__all__ = ["http"]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(smtp_port=0) as running:
        yield running


def mail(**headers: str) -> EmailMessage:
    made = EmailMessage()
    usual = {
        "From": USERNAME,
        "To": RECIPIENT,
        "Subject": "[critical] Critical: jane was exposed",
        "Date": formatdate(),
        "Message-ID": f"<{KEY}@example.org>",
    }
    for name, value in (usual | {name.replace("_", "-"): value for name, value in headers.items()}).items():
        if value:
            made[name] = value
    made.set_content("x")
    return made


def hand_in(sandbox: Sandbox, message: EmailMessage, password: str = PASSWORD, *to: str) -> dict[str, Any]:
    given = sandbox.credentials("email")
    with smtplib.SMTP(given["host"], int(given["port"]), timeout=10) as server:
        server.login(USERNAME, password)
        return server.send_message(message, to_addrs=to or (RECIPIENT,))


def test_the_mail_server_takes_a_mail_and_keeps_it(sandbox: Sandbox) -> None:
    assert hand_in(sandbox, mail()) == {}
    (kept,) = sandbox.accepted("email")
    assert (kept.key, kept.severity, kept.body["rcpt_to"]) == (KEY, "critical", [RECIPIENT])


def test_the_mail_server_refuses_who_and_what_is_not_right(sandbox: Sandbox) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError):
        hand_in(sandbox, mail(), "wrong")
    with pytest.raises(smtplib.SMTPSenderRefused):
        hand_in(sandbox, mail(From="else@example.org"))
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        hand_in(sandbox, mail(), PASSWORD, UNKNOWN)
    with pytest.raises(smtplib.SMTPDataError, match="Message-ID"):
        hand_in(sandbox, mail(Message_ID=""))
    assert sandbox.accepted() == []
    assert list(hand_in(sandbox, mail(), PASSWORD, RECIPIENT, UNKNOWN)) == [UNKNOWN]


@pytest.mark.parametrize(("name", "code"), [("401", 535), ("429", 421), ("500", 451), ("html", 200)])
def test_the_mail_server_fails_when_asked_to(sandbox: Sandbox, name: str, code: int) -> None:
    sandbox.fault("email", name, times=1)
    with pytest.raises(smtplib.SMTPDataError) as caught:
        hand_in(sandbox, mail())
    assert caught.value.smtp_code == code
    assert sandbox.accepted() == []
    assert hand_in(sandbox, mail()) == {}


@pytest.mark.parametrize(("name", "kept"), [("lost_answer", 1), ("reset", 1), ("lost_before", 0)])
def test_the_mail_servers_answer_can_be_lost(sandbox: Sandbox, name: str, kept: int) -> None:
    sandbox.fault("email", name, times=1)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        hand_in(sandbox, mail())
    assert len(sandbox.accepted("email")) == kept


def test_mail_has_a_line_to_connect_it_and_no_path_over_http(sandbox: Sandbox, http: httpx.Client) -> None:
    assert sandbox.connect_lines()[-1].startswith('hub connect email --name "E-mail in the sandbox"')
    assert http.get(f"{sandbox.url}/email/").status_code == 404
    assert "E-mail" in http.get(sandbox.url).text
