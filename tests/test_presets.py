"""A tool that speaks another's language is one file: the one in docs/adding-an-integration.md is tried here."""

import re
from pathlib import Path

import pytest

from core import connections, integrations
from core.delivery import sync
from core.integrations import manifest
from core.platform.errors import Unusable
from sandbox import Sandbox
from tests.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

PAGE = Path(__file__).parents[1] / "docs" / "adding-an-integration.md"
PRESET = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An operator's folder of presets that this test may add to."""
    monkeypatch.setattr(manifest, "PRESETS", tmp_path)
    manifest.manifests.cache_clear()
    yield tmp_path
    manifest.manifests.cache_clear()


def test_a_sixteenth_is_one_file(folder: Path, workplace: Workplace, sandbox: Sandbox) -> None:
    (folder / "mattermost.toml").write_text(PRESET, encoding="utf-8")
    manifest.manifests.cache_clear()
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
    manifest.manifests.cache_clear()
    preset, base = integrations.get("mattermost"), integrations.get("slack")
    assert (preset.connector, preset.category, preset.limits) == ("slack", base.category, base.limits)
    assert set(preset.config["properties"]) & {"bot_token", "channel"} == set()


@pytest.mark.parametrize(
    ("base", "said"),
    [("slak", 'Did you mean "slack"'), ("other", "no built-in entry"), ("mattermost", "no built-in entry")],
)
def test_a_wrong_base_is_named(folder: Path, base: str, said: str) -> None:
    (folder / "other.toml").write_text(PRESET.replace('"mattermost"', '"other"'), encoding="utf-8")
    (folder / "mattermost.toml").write_text(PRESET.replace('"slack"', f'"{base}"'), encoding="utf-8")
    manifest.manifests.cache_clear()
    with pytest.raises(Unusable, match=said):
        integrations.manifests()


def test_a_file_that_is_taken_away_locks_its_connections_and_no_other(
    folder: Path, workplace: Workplace, sandbox: Sandbox
) -> None:
    file = folder / "mattermost.toml"
    file.write_text(PRESET, encoding="utf-8")
    manifest.manifests.cache_clear()
    values = {"webhook_url": sandbox.credentials("slack")["webhook_url"]}
    made = connections.create(workplace.who, "mattermost", name="Ops", values=values, options={})
    workplace.connect("slack")
    workplace.alerts(1)
    file.unlink()
    manifest.manifests.cache_clear()
    sync.housekeep()
    shown = {view.name: view.problem for view in connections.list_views(workplace.who)}
    assert str(shown.pop("Ops")).startswith("data/catalog/mattermost.toml is gone")
    assert list(shown.values()) == [None]
    assert workplace.sync("slack").count == 1
    connections.delete(workplace.who, made)
    assert len(connections.list_views(workplace.who)) == 1
