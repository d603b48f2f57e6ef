"""The environment, read once: what is wrong is one sentence that names the variable."""

from pathlib import Path

import pytest

from core.platform.errors import Unusable
from core.platform.settings import Settings, settings


def read(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    return settings()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "HUB_PORT",
            "abc",
            "is not a whole number; correct it in the environment, or leave it empty for 8501.",
        ),
        ("HUB_PORT", "8501.5", "is not a whole number;"),
        ("HUB_PORT", "0", "is not a port from 1 to 65535;"),
        ("HUB_PORT", "9" * 5_000, "is not a whole number;"),
        ("HUB_RETENTION_DAYS", "0", "is less than one day;"),
        ("HUB_RETENTION_DAYS", "long", "is not a whole number;"),
        ("HUB_AUDIT_DAYS", "0", "is less than one day;"),
        ("HUB_RECORD_DAYS", "0", "is less than one day;"),
        ("HUB_RECORD_DAYS", "never", "is not a whole number;"),
        (
            "HUB_EXECUTOR",
            "procrastinate",
            "is procrastinate, whose workers share a PostgreSQL database, and HUB_DATABASE_URL names none; correct "
            "it in the environment, or leave it empty for local.",
        ),
        ("HUB_EXECUTOR", "cloud", "is not local or procrastinate;"),
        ("HUB_SOURCE_EVERY", "often", "is not an interval from 10s to 7d like 30s, 5m or 2h, nor off;"),
        ("HUB_SOURCE_EVERY", "9s", "leave it empty for 1m."),
        ("HUB_SOURCE_EVERY", "8d", "is not an interval"),
        ("HUB_LOG_FORMAT", "xml", "is not console or json;"),
        ("HUB_CA_BUNDLE", "/no/such/ca.pem", "cannot be read, /no/such/ca.pem (No such file or directory);"),
        ("HUB_CA_BUNDLE", "/", "cannot be read, / (Is a directory);"),
        ("HUB_PROXY", "proxy:3128", "is not the address of a proxy like http://proxy.example.com:3128;"),
        ("HUB_PROXY", "https://proxy:3128", "is not the address of a proxy"),
        ("HUB_PUBLIC_URL", "hub.example.com", "is not a web address like https://hub.example.com;"),
        ("HUB_PUBLIC_URL", "https://a b", "is not a web address"),
    ],
)
def test_a_value_that_cannot_be_used_is_one_plain_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    with pytest.raises(Unusable) as raised:
        read(monkeypatch, **{name: value})
    assert raised.value.message.startswith(f"{name} ")
    assert words in raised.value.message
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_workers_go_with_postgresql(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    assert read(monkeypatch, HUB_EXECUTOR="local").executor == "local"
    url = f"{scheme}://hub:horse@db.example.com/hub"
    assert read(monkeypatch, HUB_EXECUTOR="procrastinate", HUB_DATABASE_URL=url).executor == "procrastinate"


def test_a_proxys_password_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unusable) as raised:
        read(monkeypatch, HUB_PROXY="https://me:hunter22@proxy:3128")
    assert "hunter22" not in raised.value.message


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"HUB_{name.upper()}" for name in Settings.model_fields]
    for name in names:
        monkeypatch.delenv(name, raising=False)
    unset = read(monkeypatch)
    assert read(monkeypatch, **dict.fromkeys(names, "")) == unset
    assert (unset.port, unset.public_url) == (8501, "http://127.0.0.1:8501")


def test_what_is_right_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("x")
    taken = read(
        monkeypatch,
        HUB_PORT="80",
        HUB_CA_BUNDLE=str(bundle),
        HUB_PROXY="http://me:secret@proxy.lan:3128",
        HUB_PUBLIC_URL="https://hub.example.com/base/",
        HUB_LOG_FORMAT="json",
        HUB_SOURCE_EVERY="2h",
    )
    assert taken.source_every_s == 7_200
    assert read(monkeypatch, HUB_SOURCE_EVERY="off").source_every_s is None
    assert (taken.port, taken.ca_bundle, taken.log_format) == (80, bundle, "json")
    assert (taken.proxy, taken.public_url) == (
        "http://me:secret@proxy.lan:3128",
        "https://hub.example.com/base",
    )
