"""Every integration against its stand-in, as a person would use it: connect, test, import, sync, look there.

One table for all: a vendor that joins the catalog joins these tests by itself.
"""

import json
from pathlib import Path

import pytest

from core import connections, integrations
from core.integrations.registry import slugs
from core.records import intake
from core.storage.models import Kind
from core.storage.models.words import KIND_OF
from sandbox import Sandbox
from tests.support.workplace import CREATED, Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = pytest.mark.slow

SLUGS = slugs()
#: what each kind of trouble does to (the connection's wait, the record's state); in doubt is decided below
TROUBLES = {
    "401": ("misconfigured", "pending"),
    "403": ("misconfigured", "pending"),
    "429": ("throttled", "pending"),
    "503": ("backoff", "retrying"),
    "html": ("misconfigured", "pending"),
    "lost_answer": ("backoff", "in_doubt"),
    "lost_before": ("backoff", "in_doubt"),
}


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """One kind of database is enough here: what differs between them is tested with the flow."""
    from core.platform.settings import settings
    from core.storage import db

    url: str = request.getfixturevalue("sqlite_database")
    request.getfixturevalue("monkeypatch").setenv("HUB_DATABASE_URL", url)
    settings.cache_clear()
    db.configure(url)
    return url


def fill(workplace: Workplace, slug: str, number: int) -> None:
    kind = KIND_OF[integrations.get(slug).category]
    {Kind.SCAN: workplace.scans, Kind.CASE: workplace.cases, Kind.ALERT: workplace.alerts}[kind](number)


def test_every_integration_has_a_connector_a_manifest_and_a_stand_in(sandbox: Sandbox) -> None:
    assert set(integrations.manifests()) == set(slugs()) == set(sandbox.slugs), (
        "each needs core/integrations/<slug>/manifest.toml and connector.py, and sandbox/vendors/<slug>/stand_in.py"
    )


@pytest.mark.parametrize("slug", SLUGS)
def test_connect_test_import_sync_and_it_is_there(workplace: Workplace, tmp_path: Path, slug: str) -> None:
    values = workplace.sandbox.credentials(slug)
    steps = connections.test_draft(workplace.who, slug, values)
    assert steps
    assert [step for step in steps if step.ok is False] == []
    workplace.connect(slug)
    kind = KIND_OF[integrations.get(slug).category]
    record = {
        Kind.SCAN: {
            "high_risk_count": 9,
            "status": "completed",
            "email": "p@example.org",
            "scan_type": "email",
        },
        Kind.CASE: {"title": "Leaked", "status": "open", "priority": "critical", "description": "Found."},
        Kind.ALERT: {"title": "New breach", "severity": "high", "alert_type": "data_breach"},
    }[kind]
    file = tmp_path / "records.json"
    file.write_text(
        json.dumps([{"id": f"r-{number}", "created_at": CREATED} | record for number in range(3)])
    )
    imported = intake.import_file(workplace.who, kind, file)
    assert (imported.new, imported.bad) == (3, [])
    result = workplace.sync(slug)
    assert (result.success, result.count) == (True, 3), result.message
    keys = {row.key for row in workplace.deliveries(slug)}
    assert {accepted.key for accepted in workplace.sandbox.accepted(slug)} == keys
    assert len(workplace.sandbox.accepted(slug)) == 3
    if kind is Kind.CASE:  # one way back to the hub, not two
        for accepted in workplace.sandbox.accepted(slug):
            assert json.dumps(accepted.body).count("/records?kind=case") == 1


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("slug", SLUGS)
def test_trouble_is_told_and_overcome(workplace: Workplace, slug: str, trouble: str) -> None:
    workplace.connect(slug)
    fill(workplace, slug, 1)
    workplace.sandbox.fault(slug, trouble, times=1)
    result = workplace.sync(slug, "scheduled")
    wait, state = TROUBLES[trouble]
    assert not result.success
    assert result.message.endswith(". 1 waiting.")
    assert (workplace.row(slug).wait_reason, workplace.states(slug)) == (wait, [state])
    assert (workplace.row(slug).problem is not None) is (wait == "misconfigured")
    hidden = integrations.secret_fields(integrations.get(slug))
    told = result.message + str(workplace.deliveries(slug))
    for name, value in workplace.sandbox.credentials(slug).items():
        assert name not in hidden or value not in told
    for _ in range(4):  # a tracker looks three times before it creates again
        workplace.pass_time(hours=1)
        workplace.sync(slug, "scheduled")
    assert workplace.states(slug) == ["delivered"]
    copies = len(workplace.sandbox.accepted(slug))
    may_repeat = integrations.get(slug).in_doubt == "may_repeat"
    assert copies == (2 if trouble == "lost_answer" and may_repeat else 1)


@pytest.mark.parametrize("slug", SLUGS)
def test_the_preview_names_the_vendor_and_no_secret(workplace: Workplace, slug: str) -> None:
    workplace.connect(slug)
    fill(workplace, slug, 1)
    previewed = connections.preview(workplace.who, workplace.ids[slug], 1)
    assert previewed
    hidden = integrations.secret_fields(integrations.get(slug))
    for name, value in workplace.sandbox.credentials(slug).items():
        assert name not in hidden or value not in repr(previewed)


def test_the_sandbox_prints_a_line_for_each(sandbox: Sandbox) -> None:
    lines = sandbox.connect_lines()
    assert [line.split()[2] for line in lines] == sandbox.slugs
