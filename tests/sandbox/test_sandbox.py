"""The sandbox over real HTTP: faults at every vendor, the journal, the control API and the pages."""

import json
import re
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox import VENDORS, Sandbox
from tests.integrations.jira.sample import document, issue, jira, searched
from tests.integrations.slack.sample import message, section
from tests.integrations.splunk.sample import event, to_splunk
from tests.sandbox.support import KEY, caller, http, sandbox, send

__all__ = ["http", "sandbox"]

HOSTILE = "<script>alert(1)</script> & \"quoted\" 'too'"


#: vendors that know a record again and keep it once
KNOWING = {"elastic", "aws_security_hub", "pagerduty", "webhook"}
ALL = [vendor.slug for vendor in VENDORS]


@pytest.mark.parametrize("vendor", ["teams", "discord", "pagerduty", "webhook"])
def test_a_message_is_kept_with_its_key_title_and_severity(
    sandbox: Sandbox, http: httpx.Client, vendor: str
) -> None:
    assert send(sandbox, http, vendor).is_success
    (kept,) = sandbox.accepted(vendor)
    assert (kept.key, kept.severity, kept.mentions) == (KEY, "critical", 0)
    assert kept.title.startswith("Critical: jane was exposed")


@pytest.mark.parametrize("vendor", ALL)
@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_fault_answers_with_that_status_once_and_keeps_nothing(
    sandbox: Sandbox, http: httpx.Client, vendor: str, status: int
) -> None:
    sandbox.fault(vendor, str(status), times=1, seconds=7)
    assert send(sandbox, http, vendor).status_code == status
    assert sandbox.accepted() == []
    assert send(sandbox, http, vendor).is_success
    assert len(sandbox.accepted(vendor)) == 1


@pytest.mark.parametrize("vendor", ["jira", "slack", "microsoft_sentinel", "servicenow", "zendesk"])
def test_a_429_says_how_long_to_wait_where_the_vendor_does(
    sandbox: Sandbox, http: httpx.Client, vendor: str
) -> None:
    sandbox.fault(vendor, "429", seconds=7)
    assert send(sandbox, http, vendor).headers["Retry-After"] == "7"


@pytest.mark.parametrize("vendor", ALL)
@pytest.mark.parametrize(("name", "kept"), [("lost_answer", 1), ("reset", 1), ("lost_before", 0)])
def test_an_answer_can_be_lost(
    sandbox: Sandbox, http: httpx.Client, vendor: str, name: str, kept: int
) -> None:
    sandbox.fault(vendor, name, times=1)
    with pytest.raises(httpx.ReadError if name == "reset" else httpx.RemoteProtocolError):
        send(sandbox, http, vendor)
    assert len(sandbox.accepted(vendor)) == kept
    assert send(sandbox, http, vendor).is_success
    copies = [1] if vendor in KNOWING else list(range(1, kept + 2))
    assert [one.copy for one in sandbox.accepted(vendor)] == copies


def test_a_lost_answer_is_not_spent_on_a_request_that_delivers_nothing(sandbox: Sandbox) -> None:
    sandbox.fault("jira", "lost_answer", times=1)
    with jira(sandbox) as http:
        assert http.get("/myself").status_code == 200
        assert searched(http, "project = SEC").status_code == 200
        assert http.post("/issue", json={}).status_code == 400
        with pytest.raises(httpx.RemoteProtocolError):
            http.post("/issue", json=issue())
        assert http.get("/issue/SEC-1").status_code == 200


def test_a_slow_vendor_accepts_at_once_and_answers_late(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.fault("slack", "slow", seconds=60)
    http.timeout = httpx.Timeout(0.2)
    with pytest.raises(httpx.ReadTimeout):
        send(sandbox, http, "slack")
    assert len(sandbox.accepted("slack")) == 1


def test_a_proxy_can_answer_with_its_sign_in_page(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.fault("splunk", "html")
    answer = send(sandbox, http, "splunk")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert sandbox.accepted() == []


def test_a_share_of_requests_fails_in_the_same_order_for_the_same_seed(
    sandbox: Sandbox, http: httpx.Client
) -> None:
    def statuses(seed: int) -> list[int]:
        sandbox.fault("slack", "503", share=0.4, seed=seed)
        return [send(sandbox, http, "slack").status_code for _ in range(40)]

    first = statuses(1)
    assert {200, 503} == set(first)
    assert statuses(1) == first
    assert statuses(2) != first


def test_a_fault_stays_until_it_is_cleared_and_touches_no_other_vendor(
    sandbox: Sandbox, http: httpx.Client
) -> None:
    sandbox.fault("slack", "503")
    sandbox.fault("jira", "401")
    assert [send(sandbox, http, "slack").status_code for _ in range(3)] == [503] * 3
    assert send(sandbox, http, "splunk").status_code == 200
    sandbox.clear_faults("slack")
    assert send(sandbox, http, "slack").status_code == 200
    assert send(sandbox, http, "jira").status_code == 401
    sandbox.clear_faults()
    assert send(sandbox, http, "jira").status_code == 201


@pytest.mark.parametrize(
    ("vendor", "name", "more"),
    [
        ("nobody", "503", {}),
        ("slack", "418", {}),
        ("slack", "503", {"times": 0}),
        ("slack", "503", {"share": 1.5}),
        ("slack", "503", {"share": float("nan")}),
        ("slack", "503", {"times": 1, "share": 0.5}),
        ("slack", "slow", {"seconds": -1}),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(
    sandbox: Sandbox, vendor: str, name: str, more: dict[str, Any]
) -> None:
    with pytest.raises(ValueError):
        sandbox.fault(vendor, name, **more)


def test_a_body_over_six_megabytes_is_refused_and_the_sender_hears_it(
    sandbox: Sandbox, http: httpx.Client
) -> None:
    fits = json.dumps(event(event="x" * (6 * 1024 * 1024 - 500)))
    assert to_splunk(sandbox, http, fits).status_code == 200
    assert to_splunk(sandbox, http, fits + " " * 1000).status_code == 413
    assert len(sandbox.accepted()) == 1


def test_a_body_without_a_length_is_refused(sandbox: Sandbox, http: httpx.Client) -> None:
    chunks = iter([b'{"event":', b'"x"}'])
    assert http.post(f"{sandbox.url}/splunk/services/collector/event", content=chunks).status_code == 411


@pytest.fixture
def impatient_threads() -> Iterator[None]:
    """Threads take turns so often that a missing lock shows."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("impatient_threads")
def test_many_senders_at_once_lose_nothing_and_get_numbers_of_their_own(sandbox: Sandbox) -> None:
    def work() -> None:
        with jira(sandbox) as http:
            for _ in range(20):
                http.post("/issue", json=issue())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [one.vendor_id for one in sandbox.accepted("jira")]
    assert keys == [f"SEC-{number}" for number in range(1, 161)]


def test_the_stop_ends_connections_that_were_kept_alive(http: httpx.Client) -> None:
    with Sandbox() as sandbox:
        assert send(sandbox, http, "slack").status_code == 200
    with pytest.raises(httpx.TransportError):
        send(sandbox, http, "slack")


# --- port and journal -----------------------------------------------------------------------------------


def test_a_used_port_is_refused_in_one_sentence(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(OSError, match=f"^Port {port} is already in use"):
        Sandbox(port)


def test_the_port_for_mail_is_taken_from_the_moment_it_is_chosen() -> None:
    """Chosen only, it was another program's now and then when the mail server came for it."""
    made = Sandbox(smtp_port=0)
    port = int(made.credentials("email")["port"])
    with pytest.raises(OSError, match=f"^Port {port} is already in use"):
        Sandbox(smtp_port=port)
    made.stop()
    Sandbox(smtp_port=port).stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "example.org", "::"])
def test_only_this_machine_can_be_listened_on(host: str) -> None:
    with pytest.raises(ValueError, match="this machine only"):
        Sandbox(host=host)


def test_what_was_accepted_outlives_a_restart(tmp_path: Path) -> None:
    journal = tmp_path / "run" / "sandbox.jsonl"
    for expected in (["SEC-1"], ["SEC-1", "SEC-2"]):
        with Sandbox(journal=journal) as sandbox, jira(sandbox) as http:
            http.post("/issue", json=issue())
            found = searched(http, f'labels = "{KEY}" ORDER BY created ASC').json()["issues"]
            assert [one["key"] for one in found] == expected
    assert [one.copy for one in sandbox.accepted("jira")] == [1, 2]
    assert [json.loads(line)["vendor_id"] for line in journal.read_text().splitlines()] == expected


def test_the_journal_is_written_before_the_answer(tmp_path: Path) -> None:
    journal = tmp_path / "sandbox.jsonl"
    with Sandbox(journal=journal) as sandbox, caller() as http:
        sandbox.fault("splunk", "lost_answer")
        with pytest.raises(httpx.RemoteProtocolError):
            send(sandbox, http, "splunk")
        assert json.loads(journal.read_text())["key"] == KEY


def test_a_line_torn_by_a_crash_is_cut_off(tmp_path: Path) -> None:
    journal = tmp_path / "sandbox.jsonl"
    with Sandbox(journal=journal) as sandbox, caller() as http:
        send(sandbox, http, "slack")
    whole = journal.read_text()
    journal.write_text(whole + whole[:40])
    with Sandbox(journal=journal) as again:
        assert len(again.accepted()) == 1
    assert journal.read_text() == whole


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("buy milk\n")
    with pytest.raises(ValueError, match="Line 1 of"):
        Sandbox(journal=other)
    assert other.read_text() == "buy milk\n"


# --- control API ----------------------------------------------------------------------------------------


def test_the_control_api_sets_and_clears_faults(sandbox: Sandbox, http: httpx.Client) -> None:
    url = f"{sandbox.url}/_sandbox/faults"
    assert http.post(url, json={"vendor": "jira", "fault": "429", "times": 2}).status_code == 200
    assert http.post(url, json={"vendor": "slack", "fault": "slow", "share": 0.5, "seed": 3}).is_success
    assert [one["fault"] for one in http.get(url).json()["items"]] == ["429", "slow"]
    assert send(sandbox, http, "jira").status_code == 429
    assert http.get(url, params={"vendor": "jira"}).json()["items"][0]["times"] == 1
    assert http.delete(url, params={"vendor": "jira"}).is_success
    assert [one["vendor"] for one in http.get(url).json()["items"]] == ["slack"]
    assert http.delete(url).is_success
    assert http.get(url).json()["items"] == []


@pytest.mark.parametrize(
    "order",
    [
        {},
        [],
        {"vendor": "jira"},
        {"vendor": "x", "fault": "503"},
        {"vendor": "jira", "fault": "503", "times": "a"},
        {"vendor": "jira", "fault": "503", "share": "a"},
    ],
)
def test_the_control_api_says_what_is_wrong(sandbox: Sandbox, http: httpx.Client, order: Any) -> None:
    answer = http.post(f"{sandbox.url}/_sandbox/faults", json=order)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")


def test_the_control_api_lists_what_arrived_and_counts(sandbox: Sandbox, http: httpx.Client) -> None:
    for vendor in ("slack", "slack", "splunk"):
        send(sandbox, http, vendor)
    to_splunk(sandbox, http, "no json")
    everything = http.get(f"{sandbox.url}/_sandbox/accepted").json()["items"]
    assert [one["vendor"] for one in everything] == ["slack", "slack", "splunk"]
    only = http.get(f"{sandbox.url}/_sandbox/accepted", params={"vendor": "splunk"}).json()["items"]
    assert [one["body"]["event"]["id"] for one in only] == [KEY]
    assert http.get(f"{sandbox.url}/_sandbox/accepted?vendor=x").status_code == 400
    stats = http.get(f"{sandbox.url}/_sandbox/stats").json()
    assert stats["slack"] == {
        "requests": 2,
        "refused": 0,
        "faults": 0,
        "accepted": 2,
        "keys": 1,
        "duplicates": 1,
    }
    assert stats["splunk"]["refused"] == 1


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}])
def test_another_site_can_neither_read_nor_change_the_sandbox(
    sandbox: Sandbox, http: httpx.Client, headers: dict[str, str]
) -> None:
    form = {"vendor": "jira", "fault": "503"}
    assert http.post(f"{sandbox.url}/_sandbox/faults", data=form, headers=headers).status_code == 403
    assert http.get(sandbox.url, headers=headers).status_code == 403
    assert send(sandbox, http, "jira").status_code == 201


# --- pages ----------------------------------------------------------------------------------------------


def test_the_page_shows_what_arrived_newest_first(sandbox: Sandbox, http: httpx.Client) -> None:
    assert http.get(sandbox.url).text.count("Nothing has arrived yet.") == len(VENDORS)
    with jira(sandbox) as client:
        for number in (1, 2):
            client.post("/issue", json=issue(summary=f"Finding number {number}"))
    shown = http.get(sandbox.url).text
    assert 0 < shown.index("Finding number 2") < shown.index("Finding number 1")
    assert "SEC-2" in shown
    assert "copy 2" in shown
    assert "critical" in shown
    assert '<meta http-equiv="refresh" content="5">' in shown
    assert 'http-equiv="refresh"' not in http.get(f"{sandbox.url}/?refresh=off").text


def hostile_splunk(sandbox: Sandbox, http: httpx.Client) -> None:
    to_splunk(
        sandbox,
        http,
        event(event={"id": HOSTILE, "title": HOSTILE, "severity": HOSTILE}, fields={HOSTILE: "x"}),
    )


def hostile_jira(sandbox: Sandbox, http: httpx.Client) -> None:
    with jira(sandbox) as client:
        labels = [re.sub(r"\s", "-", HOSTILE)]
        client.post("/issue", json=issue(summary=HOSTILE, labels=labels, description=document(HOSTILE)))


def hostile_slack(sandbox: Sandbox, http: httpx.Client) -> None:
    http.post(sandbox.credentials("slack")["webhook_url"], json=message(section(HOSTILE), text=HOSTILE))


@pytest.mark.parametrize("deliver", [hostile_splunk, hostile_jira, hostile_slack])
def test_hostile_text_is_shown_and_never_run(
    sandbox: Sandbox, http: httpx.Client, deliver: Callable[[Sandbox, httpx.Client], None]
) -> None:
    deliver(sandbox, http)
    assert len(sandbox.accepted()) == 1
    for path in ("/", "/accepted/1"):
        answer = http.get(sandbox.url + path)
        assert "&lt;script&gt;alert(1)" in answer.text
        assert "<script" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_detail_page_shows_the_body(sandbox: Sandbox, http: httpx.Client) -> None:
    send(sandbox, http, "slack")
    shown = http.get(f"{sandbox.url}/accepted/1").text
    assert KEY in shown
    assert "mrkdwn" in shown
    for nowhere in ("/accepted/2", "/accepted/0", "/accepted/x", "/nowhere", "/favicon.ico"):
        assert http.get(sandbox.url + nowhere).status_code == 404


def test_the_browse_link_of_a_ticket_opens_in_a_browser(sandbox: Sandbox, http: httpx.Client) -> None:
    send(sandbox, http, "jira")
    shown = http.get(f"{sandbox.url}/jira/browse/SEC-1")
    assert (shown.status_code, "Critical exposure of jane" in shown.text) == (200, True)
    assert http.get(f"{sandbox.url}/jira/browse/SEC-2").status_code == 404


def test_the_buttons_of_the_page_set_and_clear_a_fault(sandbox: Sandbox, http: httpx.Client) -> None:
    form = {"vendor": "jira", "times": "", "fault": "lost_answer"}
    answer = http.post(f"{sandbox.url}/_sandbox/faults", data=form, headers={"Origin": sandbox.url})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    shown = http.get(sandbox.url).text
    assert "<strong>lost_answer</strong>" in shown
    assert "until cleared" in shown
    http.post(f"{sandbox.url}/_sandbox/faults/clear", data={"vendor": "jira"})
    assert "<strong>lost_answer</strong>" not in http.get(sandbox.url).text


def test_the_connect_lines_say_how_to_reach_every_vendor(sandbox: Sandbox, http: httpx.Client) -> None:
    lines = sandbox.connect_lines()
    assert lines[[vendor.slug for vendor in VENDORS].index("splunk")].startswith(
        'hub connect splunk --name "Splunk in the sandbox" --set url='
    )
    for vendor, line in zip(VENDORS, lines, strict=True):
        words = shlex.split(line)
        given = {pair.split("=", 1)[0]: pair.split("=", 1)[1] for pair in words[5:] if "=" in pair}
        assert given.pop("scope") == "all"
        assert given == sandbox.credentials(vendor.slug)
        secret = {words[at + 1].split("=")[0] for at, word in enumerate(words) if word == "--secret"}
        assert secret == vendor.secrets
    assert "In another terminal first" in " ".join(http.get(sandbox.url).text.split())
    assert "export HUB_EGRESS_ALLOW=127.0.0.1:" in http.get(sandbox.url).text


def test_the_connect_lines_call_the_hub_as_they_are_told(http: httpx.Client) -> None:
    with Sandbox(hub=".venv/bin/hub") as sandbox:
        assert all(line.startswith(".venv/bin/hub connect ") for line in sandbox.connect_lines())
        assert ".venv/bin/hub connect splunk" in http.get(sandbox.url).text


def test_what_is_kept_is_what_was_sent(sandbox: Sandbox, http: httpx.Client) -> None:
    body = message(section("ünïcode ☃ \u2028"))
    http.post(sandbox.credentials("slack")["webhook_url"], json=deepcopy(body))
    assert sandbox.accepted("slack")[0].body == body
