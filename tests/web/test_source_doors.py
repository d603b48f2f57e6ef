"""How the source stands is said at every door: Health, API, probe, figures and terminal, in one sentence."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from core.health import metrics, self_check
from core.platform.secret import Secret
from core.platform.settings import settings
from core.records import footprintiq
from core.storage import db
from core.storage.models import SourcePull, User
from core.web import probes
from tests.support import scenes
from tests.support.api_client import V1, Api, api, on_sqlite
from tests.support.scenes import half_past
from tests.support.visits import Visit, ana, own_hub, said, visit
from tests.support.workplace import sandbox, workplace
from tests.web.test_api_server import samples

__all__ = ["ana", "api", "half_past", "on_sqlite", "own_hub", "sandbox", "visit", "workplace"]
pytestmark = pytest.mark.usefixtures("half_past")
URL = Secret("postgresql://reader:horse@db.example.org/app")
NAME = footprintiq.name_of(footprintiq.address_of(URL))
AWAY = "The FootprintIQ database db.example.org:5432/app cannot be reached (refused). Check HUB_SOURCE_URL."
Told = Callable[..., None]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """A hub whose source was read `ago_s` seconds before."""

    def put(ago_s: float = 12, **values: Any) -> None:
        monkeypatch.setenv("HUB_SOURCE_URL", URL.reveal())
        settings.cache_clear()
        with db.session() as session:
            at = db.now(session) - timedelta(seconds=ago_s)
            moments = {"began_at": at, "ended_at": at, "read_until": at}
            session.execute(delete(SourcePull))
            session.add(SourcePull(source=NAME, address="db.example.org:5432/app", **(moments | values)))

    return put


def test_a_source_that_is_read_is_a_note_and_no_trouble(database: str, told: Told) -> None:
    assert probes._notes() == {}
    assert not [name for name in samples(metrics.Metrics()) if name[0].startswith("hub_source")]
    told(new=3)
    assert self_check.standing() == ()
    assert probes._notes() == {"source": "read 12 s ago"}
    found = samples(metrics.Metrics())
    assert found["hub_source_up",] == 1
    assert 11 < found["hub_source_lag_seconds",] < 60


def test_a_source_that_cannot_be_read_is_told_and_leaves_the_hub_ready(database: str, told: Told) -> None:
    told(ago_s=600, error=AWAY)
    with db.session() as session:
        scenes.beat(session)
    (trouble,) = self_check.standing()
    assert (trouble.what, trouble.title) == ("source", "The FootprintIQ database is not read")
    assert trouble.sentence == f"{AWAY} It is tried again every 1 min; it was last read 10 min ago."
    assert set(probes._checks().values()) == {"ok"}
    assert probes._notes() == {"source": "not read; last read 10 min ago"}
    assert "example" not in str(probes._notes())  # anybody may ask
    found = samples(metrics.Metrics())
    assert (found["hub_source_up",], found["hub_source_lag_seconds",] > 590) == (0, True)


def test_the_api_has_it(api: Api, told: Told) -> None:
    assert api.a.get(f"{V1}/health").json()["source"] is None
    told(new=3, changed=1)
    found = api.a.get(f"{V1}/health").json()["source"]
    assert found["sentence"] == "FootprintIQ (db.example.org:5432/app) was read 12 s ago: 3 new, 1 changed."
    assert (found["error"], found["is_pulling"], round(found["lag_s"])) == (None, False, 12)
    told(error=AWAY)
    answer = api.a.get(f"{V1}/health").json()
    assert answer["source"]["error"] == AWAY
    assert [one["what"] for one in answer["trouble"]] == ["source"]


def test_the_health_page_has_a_line(ana: User, told: Told, visit: Visit) -> None:
    scenes.hub(ana, 1)
    assert "FootprintIQ (" not in said(visit(ana, "health"))
    told(new=3)
    assert "was read 12 s ago: 3 new, 0 changed." in said(visit(ana, "health"))
    told(error=AWAY)
    words = said(visit(ana, "health"))
    assert words.count("cannot be reached") == 1
    assert "The FootprintIQ database is not read" in words
