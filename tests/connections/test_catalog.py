"""An operator switches an entry off by `is_active`: hidden at every door, and refused when somebody connects it."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, text, update
from sqlmodel import col

from core import connections, integrations
from core.integrations.catalog import Catalog
from core.platform.errors import NotFound
from core.storage import db
from core.storage.models import CatalogEntry, Connection
from tests.storage.test_db import migrate_to
from tests.support.api_client import Api, api
from tests.support.terminal import Hub
from tests.support.visits import Visit, ana, own_hub, visit
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["ana", "api", "own_hub", "sandbox", "visit", "workplace"]

OFF = (
    "Splunk is switched off in this hub: what is connected goes on, and nothing new is connected. "
    "Whoever runs the hub allows it again by is_active in the table integration_catalog."
)
VALUES = {"url": "https://splunk.example.com:8088", "token": "x"}


def switch(slug: str, is_on: bool) -> None:
    """As an operator does it."""
    with db.session() as session:
        session.execute(update(CatalogEntry).where(col(CatalogEntry.slug) == slug).values(is_active=is_on))


def entry(slug: str) -> CatalogEntry:
    with db.reading() as session:
        return session.execute(select(CatalogEntry).where(col(CatalogEntry.slug) == slug)).scalar_one()


def test_what_is_connected_goes_on_and_nothing_new_is_connected(workplace: Workplace) -> None:
    workplace.connect("splunk")
    switch("splunk", False)
    workplace.scans(3)
    assert workplace.sync("splunk").count == 3
    connections.edit(workplace.who, workplace.ids["splunk"], options={"every": "10m"})
    connections.disable(workplace.who, workplace.ids["splunk"])
    connections.enable(workplace.who, workplace.ids["splunk"])
    for verb in (connections.create, connections.check_new):
        with pytest.raises(NotFound) as refused:
            verb(workplace.who, "splunk", name="Another", values=VALUES, options={})
        assert refused.value.message == OFF
    switch("splunk", True)
    workplace.connect("splunk")


def test_the_start_leaves_an_operators_switch_alone(workplace: Workplace) -> None:
    switch("splunk", False)
    with db.session() as session:
        session.execute(update(CatalogEntry).values(description="of an older release"))
    connections.publish_catalog()
    assert not entry("splunk").is_active
    assert entry("splunk").description == integrations.get("splunk").summary
    assert "splunk" not in connections.offered()
    assert entry("slack").is_active


def test_an_entry_that_is_new_is_offered_before_the_next_start(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = replace(integrations.get("webhook"), slug="fresh", name="Fresh")
    known = Catalog({**integrations.manifests(), "fresh": fresh}, {})
    monkeypatch.setattr("core.integrations.catalog.read", lambda: known)
    assert "fresh" in connections.offered()


def test_no_address_of_a_picture_is_made_up(workplace: Workplace) -> None:
    assert (entry("splunk").logo_url, entry("splunk").icon) == (None, integrations.get("splunk").icon)
    with db.session() as session:
        session.execute(update(CatalogEntry).values(logo_url="https://intranet.example.com/splunk.svg"))
    connections.publish_catalog()
    assert entry("splunk").logo_url == "https://intranet.example.com/splunk.svg"


def test_the_api_hides_it_and_says_why(api: Api) -> None:
    switch("splunk", False)
    listed = api.nobody.get("/api/v1/catalog").json()["items"]
    assert {each["slug"] for each in listed} == set(integrations.manifests()) - {"splunk"}
    answer = api.nobody.get("/api/v1/catalog/splunk")
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, OFF)
    answer = api.a.post("/api/v1/connections", json={"slug": "splunk", "name": "SOC", "values": VALUES})
    assert (answer.status_code, answer.json()["error"]["message"]) == (422, OFF)


def test_the_terminal_hides_it_and_says_why(own_hub: None, tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    switch("splunk", False)
    for words in (("catalog",), ("catalog", "--json"), ("connect",)):
        said = hub.done(*words)
        assert "splunk" not in said
        assert "slack" in said
    assert OFF in hub.refused("catalog", "splunk")
    given = ("--name", "SOC", "--set", f"url={VALUES['url']}", "--secret", "token=x")
    assert OFF in hub.refused("connect", "splunk", *given, "--no-test")
    with db.reading() as session:
        assert session.execute(select(Connection)).first() is None


def test_the_terminal_lists_the_catalog_before_there_is_a_database(tmp_path: Path) -> None:
    assert "splunk" in Hub(tmp_path).done("catalog")


def test_the_pages_hide_it_and_say_why(ana, visit: Visit) -> None:
    switch("splunk", False)
    page = visit(ana, "catalog")
    assert [heading.value for heading in page.subheader if heading.value.endswith(": Slack")]
    assert not [heading.value for heading in page.subheader if heading.value.endswith(": Splunk")]
    for where in ("catalog", "connect"):
        page = visit(ana, where, entry="splunk")
        assert not page.exception
        assert OFF in [shown.value for shown in page.text]


def test_rows_of_before_keep_the_icon_and_lose_the_address(workplace: Workplace) -> None:
    migrate_to("0011")
    with db.session() as session:
        before = session.execute(
            text("SELECT logo_url FROM integration_catalog WHERE slug = 'splunk'")
        ).scalar()
    assert before == integrations.get("splunk").icon
    db.migrate()
    assert (entry("splunk").logo_url, entry("splunk").icon) == (None, before)
