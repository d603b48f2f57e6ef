"""A tool that speaks someone else's language is one file: the one in docs/adding-an-integration.md is tried here."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import scheduler
from core import connections, integrations
from core.delivery import housekeeping
from core.integrations import catalog, registry
from core.platform.errors import NotFound, Unusable
from core.storage.models import User
from core.web import server
from core.web.ui.markup import escaped
from sandbox import Sandbox
from tests.support.terminal import Hub
from tests.support.visits import Visit, ana, own_hub, visit
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["ana", "own_hub", "sandbox", "visit", "workplace"]

PAGE = Path(__file__).parents[2] / "docs" / "adding-an-integration.md"
PRESET = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An operator's folder of presets that this test may add to."""
    monkeypatch.setattr(catalog, "PRESETS", tmp_path)
    catalog.read.cache_clear()
    yield tmp_path
    catalog.read.cache_clear()


def test_a_sixteenth_is_one_file(folder: Path, workplace: Workplace, sandbox: Sandbox) -> None:
    (folder / "mattermost.toml").write_text(PRESET, encoding="utf-8")
    catalog.read.cache_clear()
    values = {"webhook_url": sandbox.credentials("slack")["webhook_url"]}
    steps = connections.test_draft(workplace.who, "mattermost", values)
    assert [step for step in steps if step.ok is False] == []
    made = connections.create(workplace.who, "mattermost", name="Ops", values=values, options={})
    workplace.ids["mattermost"] = made
    workplace.alerts(2)
    assert workplace.sync("mattermost").count == 2
    texts = [accepted.body["text"] for accepted in sandbox.accepted("slack")]
    assert all(text.startswith("🟠 [high] New exposure") and "/records?kind=alert" in text for text in texts)
    assert connections.find(workplace.who, made).vendor == "Mattermost"


def test_what_a_preset_does_not_say_is_as_at_its_base(folder: Path) -> None:
    (folder / "mattermost.toml").write_text(PRESET, encoding="utf-8")
    catalog.read.cache_clear()
    preset, base = integrations.get("mattermost"), integrations.get("slack")
    assert (preset.connector, preset.category, preset.limits) == ("slack", base.category, base.limits)
    assert set(preset.config["properties"]) & {"bot_token", "channel"} == set()


def refused(folder: Path, text: str | bytes, name: str = "mattermost.toml") -> str:
    """Why the preset with this text is not used; the built-in entries are all there."""
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    catalog.read.cache_clear()
    (sentence,) = integrations.disabled().values()
    assert set(integrations.manifests()) == set(registry.slugs())
    assert sentence.startswith(f"data/catalog/{name} is not used: ")
    assert sentence.endswith("Correct the file and restart the hub.")
    return sentence


@pytest.mark.parametrize(
    ("base", "said"),
    [("slak", 'Did you mean "slack"'), ("mattermost", "no built-in entry")],
)
def test_a_wrong_base_is_named(folder: Path, base: str, said: str) -> None:
    assert said in refused(folder, PRESET.replace('"slack"', f'"{base}"'))


BROKEN: dict[str, tuple[str | bytes, str]] = {
    "no TOML": ("[config", "Expected"),
    "no text": (b"\xff\xfe\x00", "utf-8"),
    "empty": ("", 'the key "preset_of" is missing'),
    "a misspelt key": (
        PRESET.replace("summary", "sumary", 1),
        'unknown key "sumary". Did you mean "summary"?',
    ),
    "no base": (PRESET.replace('preset_of = "slack"', ""), 'the key "preset_of" is missing'),
    "a slug of its own": (PRESET.replace('slug = "mattermost"', 'slug = "other"'), 'slug is "other"'),
    "a mapping into nothing": (PRESET.replace('ref = "{url}"', 'rf = "{url}"'), 'names "rf"'),
    "a record that is no schema": (PRESET.replace("[record.properties]", "[record.propertis]"), "[record]"),
    "a record that is no table": (PRESET.replace('ref = { type = "string"', "ref = 7 # {"), "record"),
    "a record with a wrong keyword": (PRESET.replace("maxLength = 150", "maxLength = -1"), "no JSON Schema"),
    "a field that the base has not": (PRESET.replace("webhook_url", "web_hook"), "has no such field"),
    "a secret that is none there": (
        PRESET.replace("writeOnly = true", "writeOnly = false"),
        "where it is a secret",
    ),
    "a base that is a list": (PRESET.replace('"slack"', "[1]", 1), "preset_of"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_preset_is_not_used_and_says_why(folder: Path, what: str) -> None:
    text, said = BROKEN[what]
    assert said in refused(folder, text)


RECEIVER = """
slug = "other"
preset_of = "qradar"

[config]
required = ["url"]

[config.properties.url]
type = "string"
title = "Address"
description = "The receiver."
examples = ["https://siem.example.com:12469"]

[config.properties.auth_header]
type = "string"
title = "Header name"
description = "Whatever the receiver looks at."
examples = ["X-Token"]
"""


def test_a_presets_header_name_is_held_to_the_same_list(folder: Path) -> None:
    said = refused(folder, RECEIVER, "other.toml")
    assert 'needs format = "header", as in qradar' in said


def test_a_preset_cannot_take_the_place_of_a_built_in_entry(folder: Path) -> None:
    before = integrations.get("slack")
    said = refused(folder, PRESET.replace('slug = "mattermost"', 'slug = "slack"'), "slack.toml")
    assert '"slack" is built in' in said
    assert integrations.get("slack") == before


def test_a_preset_that_cannot_be_read_is_not_used(folder: Path) -> None:
    (folder / "mattermost.toml").mkdir()
    catalog.read.cache_clear()
    assert "Is a directory" in integrations.disabled()["mattermost"]


def test_a_broken_preset_takes_no_other_along(folder: Path) -> None:
    (folder / "other.toml").write_text(
        PRESET.replace('slug = "mattermost"', 'slug = "other"'), encoding="utf-8"
    )
    refused_text = PRESET.replace("summary", "sumary", 1)
    (folder / "mattermost.toml").write_text(refused_text, encoding="utf-8")
    catalog.read.cache_clear()
    assert integrations.get("other").connector == "slack"
    with pytest.raises(NotFound, match="sumary"):
        integrations.get("mattermost")


def test_a_broken_built_in_manifest_stops_the_start(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "integrations"
    shutil.copytree(catalog.HERE, home)
    with (home / "slack" / "manifest.toml").open("a") as file:
        file.write("[")
    monkeypatch.setattr(catalog, "HERE", home)
    catalog.read.cache_clear()
    with pytest.raises(Unusable, match=r"^core/integrations/slack/manifest.toml: "):
        integrations.manifests()


def test_a_built_in_manifest_is_checked_at_the_start_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only a check finds: a manifest that can be built stops no command at a terminal, but the start."""
    home = tmp_path / "integrations"
    shutil.copytree(catalog.HERE, home)
    path = home / "slack" / "manifest.toml"
    path.write_text(path.read_text().replace("[severity]\nlow", "[severity]\nlo"))
    monkeypatch.setattr(catalog, "HERE", home)
    catalog.read.cache_clear()
    assert integrations.get("slack").severity["lo"]
    with pytest.raises(Unusable, match=r'^core/integrations/slack/manifest.toml: .*"lo" in \[severity\]'):
        integrations.log_disabled()


class Started(Exception):
    """Ends a start where the real work would begin."""


def _start() -> None:
    raise Started


def _start_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler.logs, "configure", lambda: None)
    monkeypatch.setattr(scheduler.db, "check_current", lambda: None)
    monkeypatch.setattr(scheduler, "_say_restored", _start)
    scheduler.main()


def _start_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "listen", lambda host, port: _start())
    server.serve("127.0.0.1", 0)


@pytest.mark.parametrize("start", [_start_scheduler, _start_dashboard])
def test_a_start_tells_of_a_broken_preset(
    folder: Path, monkeypatch: pytest.MonkeyPatch, start: Callable[[pytest.MonkeyPatch], None]
) -> None:
    said = refused(folder, "[")
    with capture_logs() as log, pytest.raises(Started):
        start(monkeypatch)
    assert [(entry["log_level"], entry["reason"]) for entry in log] == [("warning", said)]


@pytest.mark.parametrize("command", [("catalog",), ("catalog", "--json")])
def test_the_terminal_shows_the_catalog_and_what_is_wrong_with_a_preset(
    folder: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    said = refused(folder, "[")
    shown = Hub(tmp_path)(*command)
    assert shown.returncode == 0
    assert "splunk" in shown.stdout
    assert said in shown.stderr


def test_the_catalog_page_shows_what_is_wrong_with_a_preset(folder: Path, ana: User, visit: Visit) -> None:
    said = refused(folder, "[")
    page = visit(ana, "catalog")
    assert not page.exception
    assert [warning.value for warning in page.warning] == [escaped(said)]
    assert len(page.subheader) > len(registry.slugs())


def test_a_file_that_is_broken_locks_its_connections_and_says_why(
    folder: Path, workplace: Workplace, sandbox: Sandbox
) -> None:
    file = folder / "mattermost.toml"
    file.write_text(PRESET, encoding="utf-8")
    catalog.read.cache_clear()
    values = {"webhook_url": sandbox.credentials("slack")["webhook_url"]}
    connections.create(workplace.who, "mattermost", name="Ops", values=values, options={})
    workplace.alerts(1)
    said = refused(folder, "[")
    housekeeping.housekeep()
    (view,) = connections.list_views(workplace.who)
    assert view.problem == f"{said} Until then nothing is sent."
    assert sandbox.accepted("slack") == []


def test_a_file_that_is_taken_away_locks_its_connections_and_no_other(
    folder: Path, workplace: Workplace, sandbox: Sandbox
) -> None:
    file = folder / "mattermost.toml"
    file.write_text(PRESET, encoding="utf-8")
    catalog.read.cache_clear()
    values = {"webhook_url": sandbox.credentials("slack")["webhook_url"]}
    made = connections.create(workplace.who, "mattermost", name="Ops", values=values, options={})
    workplace.connect("slack")
    workplace.alerts(1)
    file.unlink()
    catalog.read.cache_clear()
    housekeeping.housekeep()
    shown = {view.name: view.problem for view in connections.list_views(workplace.who)}
    assert str(shown.pop("Ops")).startswith("data/catalog/mattermost.toml is gone")
    assert list(shown.values()) == [None]
    assert workplace.sync("slack").count == 1
    connections.delete(workplace.who, made)
    assert len(connections.list_views(workplace.who)) == 1
