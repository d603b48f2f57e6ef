"""/docs, /openapi.json, /metrics and /readyz on the whole server: who may read them, and what they say."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

import httpx
import pytest
import streamlit as st
from prometheus_client.parser import text_string_to_metric_families

from core import access, health
from core.access import LOCAL
from core.health import metrics
from core.integrations.options import Options
from core.platform.secret import Secret
from core.storage import db
from core.storage.models import Heartbeat
from core.web import probes
from core.web.middleware import OPEN
from core.web.ui.banner import scheduler_banner
from tests.support import scenes
from tests.support.live import EMAIL, PASSWORD, ROOT, Live, served

CLOSED = ("/docs", "/openapi.json")


@pytest.fixture(scope="module")
def tokens() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, tokens: dict[str, str]) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("api-server")
    url = f"sqlite:///{folder}/hub.db"
    db.configure(url)
    db.migrate()
    access.add_user(LOCAL, EMAIL, "member", Secret(PASSWORD))
    access.add_user(LOCAL, "boss@example.org", "admin", None)
    tokens["member"] = access.create_token(LOCAL, EMAIL, "t", None)
    tokens["admin"] = access.create_token(LOCAL, "boss@example.org", "t", None)
    with served(url, folder) as live:
        yield live


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory, hub: Live) -> Iterator[Live]:
    """The same hub behind a proxy: every request comes from this machine."""
    folder = tmp_path_factory.mktemp("public")
    with served(
        f"sqlite:///{hub.log.parent}/hub.db", folder, HUB_PUBLIC_URL="https://hub.example.org"
    ) as live:
        yield live


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", CLOSED)
def test_the_description_is_for_people_who_signed_in_and_for_tokens(
    hub: Live, tokens: dict[str, str], path: str
) -> None:
    with hub.client() as stranger, hub.client(signed_in=True) as person:
        assert stranger.get(path).status_code == 401
        assert stranger.get(path, headers=bearer("hub_wrong")).status_code == 401
        assert stranger.get(path, headers=bearer(tokens["member"])).status_code == 200
        assert person.get(path).status_code == 200
        assert person.post(path).status_code in (404, 405)


def test_a_browser_that_asks_for_the_page_is_sent_to_sign_in_and_back(hub: Live) -> None:
    with hub.client() as stranger:
        answer = stranger.get("/docs", headers={"Accept": "text/html,*/*"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/auth/login?next=%2Fdocs")


def test_the_page_names_every_route_and_loads_nothing(hub: Live) -> None:
    with hub.client(signed_in=True) as person:
        page, document = person.get("/docs"), person.get("/openapi.json").json()
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "<script" not in page.text
    assert not re.findall(r'(?:src|href)="(?!data:|#|/)', page.text)
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert f'id="{route["operationId"]}"' in page.text
            assert f"<code>{path}</code>" in page.text
            assert f">{method.upper()}</b>" in page.text
    assert "curl http://127.0.0.1" in page.text
    assert "sync-integration" in page.text


def test_a_cookie_reads_the_description_but_not_the_api(hub: Live) -> None:
    with hub.client(signed_in=True) as person:
        assert person.get("/api/v1/connections").status_code == 401
        assert person.post("/functions/v1/sync-integration", json={}).status_code == 401
        assert person.post("/api/v1/scans", json=[{"id": "1"}]).status_code == 401


@pytest.mark.parametrize("root", OPEN)
def test_below_what_is_open_there_is_nothing_of_streamlit(hub: Live, root: str) -> None:
    with hub.client() as stranger:
        for path in (f"{root}/x", f"{root}/_stcore/health", f"{root}/static/js/index.js", f"{root}/"):
            assert stranger.get(path).status_code == 404, path
            assert stranger.post(path).status_code == 404, path


def test_another_site_may_not_read_an_answer(hub: Live, tokens: dict[str, str]) -> None:
    headers = bearer(tokens["member"]) | {"Origin": "https://evil.example"}
    with hub.client() as client:
        for path in ("/api/v1/connections", "/openapi.json", "/docs"):
            answer = client.get(path, headers=headers)
            assert not [name for name in answer.headers if name.startswith("access-control")]
        ahead = headers | {"Access-Control-Request-Method": "POST"}
        assert client.options("/api/v1/connections", headers=ahead).status_code == 405


def test_the_figures_are_for_this_machine_and_for_an_admins_token(
    hub: Live, public: Live, tokens: dict[str, str]
) -> None:
    with hub.client() as local:
        assert local.get("/metrics").status_code == 200
        assert local.get("/metrics", headers=bearer("hub_wrong")).status_code == 401
    with httpx.Client(base_url=public.url, headers={"Host": "hub.example.org"}, trust_env=False) as proxied:
        assert proxied.get("/metrics").status_code == 401
        assert proxied.get("/metrics", headers=bearer(tokens["member"])).status_code == 403
        assert proxied.get("/metrics", headers=bearer(tokens["admin"])).status_code == 200


def test_ready_means_database_migrations_and_a_scheduler_that_beats(hub: Live) -> None:
    with hub.client() as stranger:
        by_address = {"Host": "10.1.2.3:8501"}
        before = stranger.get("/readyz", headers=by_address)
        assert (before.status_code, before.json()["checks"]["scheduler"]) == (503, "not heard of")
        db.configure(f"sqlite:///{hub.log.parent}/hub.db")
        with db.session() as session:
            scenes.beat(session)
        assert stranger.get("/readyz", headers=by_address).json()["status"] == "ok"
        with db.session() as session:
            session.delete(session.get_one(Heartbeat, "scheduler"))


@pytest.mark.parametrize("ago_s", [3, 20, 100])
def test_page_and_probe_agree_on_a_silent_scheduler(
    database: str, monkeypatch: pytest.MonkeyPatch, ago_s: float
) -> None:
    titles: list[str] = []
    monkeypatch.setattr(st, "warning", lambda _body, *, title, icon: titles.append(title))
    with db.session() as session:
        scenes.beat(session, ago_s)
    scheduler_banner(health.overview(LOCAL, 24).scheduler)
    assert (probes._checks()["scheduler"] != "ok") is bool(titles) is (ago_s > 15)


# --- the figures alone ----------------------------------------------------------------------------


def samples(figures: metrics.Metrics) -> dict[tuple[str, ...], float]:
    """(name, label values by label name) → value, as Prometheus' own parser reads them."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(figures.text().decode())
        for sample in family.samples
    }


def test_the_figures_are_what_the_database_says(database: str, people: object) -> None:
    owner = people.a.user_id  # type: ignore[attr-defined]
    with db.session() as session:
        scenes.beat(session, ago_s=5)
        splunk = scenes.connect(session, owner, "SOC", wait_reason="misconfigured")
        other = scenes.connect(session, owner, "SOC 2")
        for connection in (splunk, other):
            scenes.figures(session, connection, 0, runs_ok=2, delivered=10, calls=3, call_ms=[1, 2])
            scenes.figures(
                session, connection, 30, runs_failed=1, delivered=5, delay_s=scenes.delays(3, 3, 9e9)
            )
        scenes._backlog(session, splunk, 4)
    figures = metrics.Metrics()
    found = samples(figures)
    assert found["hub_runs_total", "success", "splunk"] == 4
    assert found["hub_runs_total", "failed", "splunk"] == 2
    assert found["hub_outcomes_total", "delivered", "splunk"] == 30
    assert found["hub_calls_total", "splunk"] == 6
    assert found["hub_call_seconds_bucket", "0.005", "splunk"] == 2
    assert (
        found["hub_call_seconds_bucket", "+Inf", "splunk"] == found["hub_call_seconds_count", "splunk"] == 6
    )
    assert found["hub_delay_seconds_bucket", "5", "splunk"] == 4
    assert found["hub_delay_seconds_bucket", "+Inf", "splunk"] == 6
    assert found["hub_deliveries", "none", "pending", "splunk"] == 4
    assert found["hub_queue_age_seconds", "splunk"] >= 0
    assert found["hub_connections", "yes", "splunk", "misconfigured"] == 1
    assert 4 < found["hub_scheduler_heartbeat_age_seconds",] < 60
    with db.session() as session:
        scenes.figures(session, other, 1, runs_ok=1, delivered=1)
    again = samples(figures)  # the settled hours are remembered, the others read again
    assert again["hub_outcomes_total", "delivered", "splunk"] == 31
    assert again["hub_delay_seconds_bucket", "+Inf", "splunk"] == 6


def test_counters_go_on_when_the_hour_does(
    database: str, people: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with db.session() as session:
        connection = scenes.connect(session, people.a.user_id, "SOC")  # type: ignore[attr-defined]
        scenes.figures(session, connection, 0, delivered=7)
        scenes.figures(session, connection, 3, delivered=1)
    figures = metrics.Metrics()
    real = db.now
    values = []
    for hours in (0, 1, 2, 3, 30):
        monkeypatch.setattr(db, "now", lambda session, hours=hours: real(session) + timedelta(hours=hours))
        values.append(samples(figures)["hub_outcomes_total", "delivered", "splunk"])
    assert values == [8] * 5


def test_the_page_of_words_names_what_there_is(database: str) -> None:
    words = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    families = {family.name for family in metrics.Metrics().collect()} - {"hub_build"}
    assert {name for name in families if name not in words} == set()
    options = set(re.findall(r"^\| `(\w+)` \|", words, re.M))
    assert "every" in options
    assert options - {"every"} <= Options.__dataclass_fields__.keys()


def test_an_empty_hub_has_figures_too(database: str) -> None:
    assert ("hub_scheduler_heartbeat_age_seconds",) not in samples(metrics.Metrics())


def test_totals_are_added_up_when_no_transaction_is_open(
    database: str, people: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With years of hours that takes seconds, and PostgreSQL ends a transaction that is silent for long."""
    with db.session() as session:
        connection = scenes.connect(session, people.a.user_id, "SOC")  # type: ignore[attr-defined]
        scenes.figures(session, connection, 30, delivered=1, calls=1, call_ms=[1])
    open_connections: list[int] = []
    real = metrics.added

    def counting(histograms: Iterable[Sequence[int]]) -> tuple[int, ...]:
        open_connections.append(db.engine().pool.checkedout())  # type: ignore[attr-defined]
        return real(histograms)

    monkeypatch.setattr(metrics, "added", counting)
    metrics.Metrics().text()
    assert open_connections
    assert set(open_connections) == {0}
