"""A delivered row holds the status and the short answer that delivered it, whatever came before."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from core import connections
from core.delivery import history
from core.delivery.outcome import ANSWER_CHARS
from core.storage import db
from tests.support.fault_server import http, json_answer, serving
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]


def answers(workplace: Workplace, slug: str) -> list[tuple[int | None, str | None]]:
    return [(row.response_status, row.response_body) for row in workplace.deliveries(slug)]


@contextmanager
def closings() -> Iterator[list[str]]:
    """Statements that write a delivery's answer."""
    seen: list[str] = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        if statement.startswith("UPDATE webhook_deliveries") and "response_status" in statement:
            seen.append(statement)

    event.listen(db.engine(write=True), "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine(write=True), "before_cursor_execute", note)


def test_every_row_of_a_batch_holds_the_answer_to_the_batch_in_one_statement(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.scans(10)
    with closings() as statements:
        assert workplace.sync("splunk").count == 10
    assert answers(workplace, "splunk") == [(200, '{"text": "Success", "code": 0}')] * 10
    assert len(statements) == 1


@pytest.mark.parametrize(("fault", "status"), [("503", 503), ("401", 401), ("429", 429)])
def test_the_answer_of_an_earlier_attempt_does_not_stay(
    workplace: Workplace, fault: str, status: int
) -> None:
    workplace.connect("splunk")
    workplace.scans(3)
    workplace.sandbox.fault("splunk", fault, times=1)
    workplace.sync("splunk")
    assert {said for said, _ in answers(workplace, "splunk")} == {status}
    workplace.pass_time(hours=25)
    assert workplace.sync("splunk").count == 3
    assert answers(workplace, "splunk") == [(200, '{"text": "Success", "code": 0}')] * 3


def test_a_message_that_is_a_call_of_its_own_holds_its_own_answer(workplace: Workplace) -> None:
    told = iter("abc")
    with serving(lambda peer: peer.send(http(200, f"ok {next(told)}".encode()))) as server:
        workplace.connect_at(server.url, "webhook")
        workplace.alerts(3)
        assert workplace.sync("webhook").count == 3
    assert answers(workplace, "webhook") == [(200, "ok a"), (200, "ok b"), (200, "ok c")]


def test_a_ticket_holds_the_answer_that_created_it(workplace: Workplace) -> None:
    workplace.connect("jira")
    workplace.cases(2)
    workplace.sync("jira")
    (first, body), (second, other) = answers(workplace, "jira")
    assert (first, second) == (201, 201)
    assert '"key": "SEC-1"' in str(body)
    assert '"key": "SEC-2"' in str(other)


def test_a_ticket_that_was_found_holds_the_answer_of_the_search(workplace: Workplace) -> None:
    workplace.connect("jira")
    workplace.cases(1)
    workplace.sandbox.fault("jira", "lost_answer", times=1)
    workplace.sync("jira", "scheduled")
    workplace.pass_time(seconds=61)
    workplace.sync("jira", "scheduled")
    ((status, body),) = answers(workplace, "jira")
    assert status == 200
    assert "SEC-1" in str(body)


def test_a_ticket_that_was_known_without_a_call_holds_no_answer(workplace: Workplace) -> None:
    workplace.connect("jira")
    workplace.cases(1)
    workplace.sync("jira")
    connections.delete(workplace.who, workplace.ids["jira"])
    workplace.connect("jira")
    workplace.sandbox.fault("jira", "503", times=1)
    assert workplace.sync("jira").count == 1
    assert answers(workplace, "jira") == [(None, None)]


def test_a_record_in_a_digest_holds_the_answer_to_the_digest(workplace: Workplace) -> None:
    workplace.connect("slack", storm="1/5m", batch_limit=3)
    workplace.alerts(3)
    workplace.sync("slack")
    assert answers(workplace, "slack") == [(200, "ok")] * 4  # three alerts and their digest


def test_a_mail_holds_what_the_server_said(workplace: Workplace) -> None:
    workplace.connect("email")
    workplace.alerts(1)
    workplace.sync("email")
    ((status, body),) = answers(workplace, "email")
    assert status == 250
    assert body


def test_no_secret_and_no_long_text_is_kept(workplace: Workplace) -> None:
    token = workplace.sandbox.credentials("splunk")["token"]
    long = f'{{"text":"Success {token}","code":0,"more":"{"x" * 5000}"}}'
    with serving(json_answer(200, long)) as server:
        workplace.connect_at(server.url, "splunk")
        workplace.scans(1)
        assert workplace.sync("splunk").count == 1
    ((status, body),) = answers(workplace, "splunk")
    assert status == 200
    assert token not in str(body)
    assert body == f"{str(body)[: ANSWER_CHARS - 1]}…"


def test_a_row_that_is_sent_once_more_forgets_the_answer(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.scans(1)
    workplace.sync("splunk")
    (row,) = workplace.deliveries("splunk")
    history.replay_one(workplace.who, row.id or 0, again=True)
    assert answers(workplace, "splunk") == [(None, None)]
