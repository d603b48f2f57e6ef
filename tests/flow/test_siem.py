"""The further SIEMs through the whole hub: preview, test, sync, a lost answer, and what then stands there."""

import pytest

from core import connections
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

SIEMS = ["aws_security_hub", "elastic", "qradar"]


@pytest.mark.parametrize("slug", SIEMS)
def test_what_is_previewed_arrives_and_no_secret_shows(workplace: Workplace, slug: str) -> None:
    workplace.connect(slug, batch_limit=50)
    workplace.scans(12)
    workplace.scans(1, username='<script> "quotes" \u202e |x09|\tcat=x', results={"note": "x" * 40_000})
    assert all(step.ok is not False for step in connections.test(workplace.who, workplace.ids[slug]))
    (previewed,) = connections.preview(workplace.who, workplace.ids[slug], 13)
    given = workplace.sandbox.credentials(slug)
    vendor = next(v for v in workplace.sandbox._state.vendors.values() if v.slug == slug)
    assert not [name for name in vendor.secrets if given[name] in repr(previewed)]
    assert workplace.sync(slug).count == 13
    assert len(workplace.sandbox.accepted(slug)) == 13
    assert set(workplace.states(slug)) == {"delivered"}


@pytest.mark.parametrize(("slug", "copies"), [("aws_security_hub", 1), ("elastic", 1), ("qradar", 2)])
def test_a_lost_answer_is_resolved_as_the_manifest_says(workplace: Workplace, slug: str, copies: int) -> None:
    workplace.connect(slug)
    workplace.scans(1)
    workplace.sandbox.fault(slug, "lost_answer", times=1)
    workplace.sync(slug)
    assert workplace.states(slug) == ["in_doubt"]
    workplace.pass_time(hours=2)
    workplace.sync(slug)
    assert workplace.states(slug) == ["delivered"]
    assert len(workplace.sandbox.accepted(slug)) == copies


@pytest.mark.parametrize("slug", SIEMS)
def test_refused_credentials_pause_the_connection_and_keep_its_queue(workplace: Workplace, slug: str) -> None:
    workplace.connect(slug)
    workplace.scans(3)
    workplace.sandbox.fault(slug, "403", times=1)
    workplace.sync(slug)
    assert workplace.row(slug).problem
    assert set(workplace.states(slug)) == {"pending"}
