"""A connection test that fails names the stage that failed, and what was proven before it; for every vendor."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from core import integrations
from core.integrations.base import Step
from core.integrations.email import connector as email
from core.integrations.registry import slugs
from core.integrations.stages import stages
from core.platform.settings import settings
from sandbox import Sandbox
from tests.support.fault_server import certificate, http, serving

SLUGS = slugs()
OVER_HTTP = [slug for slug in SLUGS if slug != "email"]
#: their test proves only that somebody answers: what they take shows with the first record
ANYBODY = {"teams", "webhook"}
#: where every request of a test goes to one address
ADDRESSES = {
    "aws_security_hub": ("endpoint_url", "sts_endpoint_url"),
    "google_secops": ("endpoint_url", "token_url"),
    "microsoft_sentinel": ("endpoint_url", "authority_url"),
    "pagerduty": ("endpoint_url",),
    **dict.fromkeys(("discord", "slack", "teams"), ("webhook_url",)),
}
#: words for another moment: nothing was sent, and nothing waits
OF_RECORDS = ("replay", "waits", "wait and are", "record", "events wait", "may have arrived")


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_EGRESS_ALLOW", "127.0.0.1/32")
    settings.cache_clear()


@pytest.fixture(scope="module")
def vendors() -> Iterator[Sandbox]:
    with Sandbox(smtp_port=0) as running:
        yield running


def steps_of(slug: str, values: dict[str, Any]) -> list[Step]:
    manifest = integrations.get(slug)
    return list(stages(manifest, integrations.check_config(manifest, values)))


def marks(steps: list[Step]) -> list[tuple[str, bool | None]]:
    return [(step.name, step.ok) for step in steps]


def elsewhere(vendors: Sandbox, slug: str, url: str) -> dict[str, Any]:
    """The stand-in's credentials, with every address at `url`."""
    given = vendors.credentials(slug)
    if slug == "email":
        host, _, port = url.rpartition("/")[2].partition(":")
        return given | {"host": host, "port": port}
    return given | {
        name: given[name].replace(vendors.url, url) for name in ADDRESSES.get(slug, ("url",)) if name in given
    }


@contextmanager
def trouble(vendors: Sandbox, slug: str, name: str) -> Iterator[None]:
    vendors.fault(slug, name)
    try:
        yield
    finally:
        vendors.clear_faults(slug)


def assert_failed(steps: list[Step], stage: str) -> None:
    """That stage failed and no other one; what comes before it passed, and is not said twice."""
    *before, last = steps
    assert (last.name, last.ok) == (stage, False), marks(steps)
    assert all(step.ok is not False for step in before)
    assert [word for word in OF_RECORDS if word in last.text] == [], last.text


# --- what a vendor refuses --------------------------------------------------------------------------


@pytest.mark.parametrize("slug", OVER_HTTP)
def test_refused_credentials_are_not_the_network(vendors: Sandbox, slug: str) -> None:
    with trouble(vendors, slug, "401"):
        steps = steps_of(slug, vendors.credentials(slug))
    if slug in ANYBODY:
        assert all(step.ok is not False for step in steps)
        return
    assert_failed(steps, "credentials")
    assert marks(steps[:2]) == [("network", True), ("tls", None)]


@pytest.mark.parametrize("slug", OVER_HTTP)
def test_a_refused_permission_is_not_the_network(vendors: Sandbox, slug: str) -> None:
    with trouble(vendors, slug, "403"):
        steps = steps_of(slug, vendors.credentials(slug))
    if slug in ANYBODY:
        assert all(step.ok is not False for step in steps)
        return
    assert steps[-1].name in ("credentials", "permission")
    assert_failed(steps, steps[-1].name)
    assert marks(steps[:2]) == [("network", True), ("tls", None)]


@pytest.mark.parametrize("slug", OVER_HTTP)
def test_an_address_with_nothing_there_is_the_target(vendors: Sandbox, slug: str) -> None:
    with serving(http(404, b"not here")) as server:
        steps = steps_of(slug, elsewhere(vendors, slug, server.url))
    if slug in ANYBODY:
        assert all(step.ok is not False for step in steps)
        return
    # a sign-in that is not there is a sign-in that does not work
    stage = "credentials" if slug in ("google_secops", "microsoft_sentinel") else "target"
    assert_failed(steps, stage)
    assert marks(steps[:2]) == [("network", True), ("tls", None)]


@pytest.mark.parametrize("name", ["429", "500", "503"])
@pytest.mark.parametrize("slug", OVER_HTTP)
def test_a_vendor_that_is_busy_answers_and_no_more(vendors: Sandbox, slug: str, name: str) -> None:
    with trouble(vendors, slug, name):
        steps = steps_of(slug, vendors.credentials(slug))
    if slug == "teams" or (slug, name) == ("webhook", "429"):
        assert all(step.ok is not False for step in steps)
        return
    assert_failed(steps, "answer")
    assert marks(steps[:2]) == [("network", True), ("tls", None)]


@pytest.mark.parametrize("slug", OVER_HTTP)
def test_a_web_page_is_another_address_than_the_one_meant(vendors: Sandbox, slug: str) -> None:
    with trouble(vendors, slug, "html"):
        steps = steps_of(slug, vendors.credentials(slug))
    if slug == "teams":
        assert all(step.ok is not False for step in steps)
        return
    assert_failed(steps, "target")
    assert marks(steps[:2]) == [("network", True), ("tls", None)]


@pytest.mark.parametrize("status", [400, 409, 422])
@pytest.mark.parametrize("slug", OVER_HTTP)
def test_a_refused_test_says_nothing_of_records(vendors: Sandbox, slug: str, status: int) -> None:
    """PagerDuty's 400 said: Correct the record or the mapping, then replay."""
    with serving(
        http(status, b'{"message": "Event object is invalid"}', "Content-Type: application/json")
    ) as server:
        steps = steps_of(slug, elsewhere(vendors, slug, server.url))
    if steps[-1].ok is not False:  # refusing the empty test is what a good one does, too
        assert slug in ANYBODY | {"slack", "qradar"}
        return
    assert_failed(steps, steps[-1].name)
    assert steps[-1].name != "network"


# --- what the network refuses -----------------------------------------------------------------------


@pytest.mark.parametrize("slug", SLUGS)
def test_nobody_listens(vendors: Sandbox, slug: str) -> None:
    with serving(b"") as server:
        url = server.url
    steps = steps_of(slug, elsewhere(vendors, slug, url))
    assert_failed(steps, "network")
    assert len(steps) == 1


@pytest.mark.parametrize("slug", SLUGS)
def test_an_answer_that_does_not_come(vendors: Sandbox, slug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.http import client

    monkeypatch.setattr(client, "DEADLINE_S", 0.3)
    monkeypatch.setattr(email, "DEADLINE_S", 0.3)
    with serving(lambda peer: peer.hang()) as server:
        steps = steps_of(slug, elsewhere(vendors, slug, server.url))
    assert steps[-1].name == "network"
    assert_failed(steps, "network")


@pytest.mark.parametrize("slug", SLUGS)
def test_a_certificate_that_nobody_trusts(vendors: Sandbox, slug: str, tmp_path: Path) -> None:
    context = certificate().server_context(tmp_path)
    with serving(b"", tls=context) as server:
        values = elsewhere(vendors, slug, server.url)
        if slug == "email":
            values |= {"security": "tls"}
        steps = steps_of(slug, values)
    assert_failed(steps, "tls")
    assert marks(steps) == [("network", True), ("tls", False)]
    assert "self-signed" in steps[-1].text


@pytest.mark.parametrize("slug", SLUGS)
def test_a_port_that_does_not_speak_tls(vendors: Sandbox, slug: str) -> None:
    with serving(http(200), greeting=b"220 plain text here, and enough of it to be no record\r\n") as server:
        values = elsewhere(vendors, slug, server.url.replace("http://", "https://"))
        steps = steps_of(slug, values | ({"security": "tls"} if slug == "email" else {}))
    assert marks(steps) == [("network", True), ("tls", False)]
    assert "does not speak TLS" in steps[-1].text


def test_an_authority_that_cannot_be_read_is_told_before_a_connection(vendors: Sandbox) -> None:
    broken = "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----"
    values = vendors.credentials("splunk") | {"url": "https://127.0.0.1:8088", "ca_bundle": broken}
    steps = steps_of("splunk", values)
    assert marks(steps) == [("tls", False)]


# --- mail --------------------------------------------------------------------------------------------


def test_a_mail_server_that_refuses_the_password(vendors: Sandbox) -> None:
    steps = steps_of("email", vendors.credentials("email") | {"password": "wrong"})
    assert marks(steps) == [("network", True), ("tls", None), ("credentials", False)]


def test_a_mail_server_that_refuses_the_sender(vendors: Sandbox) -> None:
    steps = steps_of("email", vendors.credentials("email") | {"from_address": "else@example.org"})
    assert marks(steps)[-1] == ("permission", False)
    assert marks(steps)[:3] == [("network", True), ("tls", None), ("credentials", True)]


def test_a_mail_server_without_starttls(vendors: Sandbox) -> None:
    steps = steps_of("email", vendors.credentials("email") | {"security": "starttls"})
    assert marks(steps) == [("network", True), ("tls", False)]


# --- settings that are wrong by themselves ------------------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "wrong", "stage"),
    [
        ("elastic", {"api_key": "VuaCfGcBCdbkQm-e5aOx"}, "credentials"),
        ("google_secops", {"service_account_json": "{}"}, "credentials"),
        ("microsoft_sentinel", {"endpoint_url": "https://x.ods.opinsights.azure.com"}, "target"),
        ("aws_security_hub", {"access_key_id": "ASIAEXAMPLEEXAMPLE12", "session_token": ""}, "credentials"),
        ("email", {"port": "465", "security": "starttls"}, "tls"),
    ],
)
def test_what_is_wrong_without_a_call_is_named_too(
    vendors: Sandbox, slug: str, wrong: dict[str, str], stage: str
) -> None:
    steps = steps_of(slug, vendors.credentials(slug) | wrong)
    assert (steps[-1].name, steps[-1].ok) == (stage, False)


# --- plain http ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", SLUGS)
def test_plain_http_is_a_warning(vendors: Sandbox, slug: str) -> None:
    steps = steps_of(slug, vendors.credentials(slug))
    warned = [step for step in steps if step.warning]
    assert [(step.name, step.ok) for step in warned] == [("tls", None)]
    assert "unencrypted" in warned[0].text


@pytest.mark.parametrize("slug", SLUGS)
def test_a_stand_in_passes_every_stage(vendors: Sandbox, slug: str) -> None:
    assert [step for step in steps_of(slug, vendors.credentials(slug)) if step.ok is False] == []
