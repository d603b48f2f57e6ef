"""Guessing a password is slow for whoever guesses, and for nobody else."""

import time
from collections.abc import Callable

import pytest

from core import access
from core.access import LOCAL, TooMany, sessions
from core.access.login_limit import LoginLimit
from core.platform.errors import Forbidden
from core.platform.secret import Secret
from core.platform.settings import settings
from core.platform.vault import create_key_file, new_key
from core.storage.models import User
from tests.support.api_client import on_sqlite

__all__ = ["on_sqlite"]
pytestmark = pytest.mark.security

RIGHT, WRONG = Secret("a long enough one"), Secret("a wrong password")
HOME, ELSEWHERE = "203.0.113.7", "198.51.100.1"


@pytest.fixture(autouse=True)
def released_brakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no hashing: the right password is known by its text."""
    for brake in sessions.BRAKES:
        brake.forget()
    monkeypatch.setattr(
        "core.access.passwords.is_right", lambda stored, given: stored is not None and given == RIGHT
    )


@pytest.fixture
def ana(database: str) -> User:
    create_key_file(settings().secret_key_file)
    return access.add_user(LOCAL, "ana@example.com", "member", RIGHT)


def guess(email: str, address: str, times: int = 1, device: str = "") -> None:
    """So many tries with a wrong password, also those that are only told to wait."""
    for _ in range(times):
        with pytest.raises(Forbidden):
            access.sign_in(email, WRONG, address, device)


def is_slowed(email: str, address: str, device: str = "") -> bool:
    try:
        access.sign_in(email, RIGHT, address, device)
    except TooMany:
        return True
    return False


def device_of(email: str) -> str:
    """The cookie of a browser that has signed in once."""
    cookie = access.device_cookie(access.sign_in(email, RIGHT, HOME))
    assert cookie
    return cookie


def test_nine_wrong_guesses_from_elsewhere_lock_nobody_out(ana: User) -> None:
    guess(ana.email, ELSEWHERE, 9)
    assert is_slowed(ana.email, ELSEWHERE)
    assert not is_slowed(ana.email, HOME)


def test_a_colleague_behind_the_same_address_is_not_slowed_where_they_signed_in_before(ana: User) -> None:
    device = device_of(ana.email)
    guess(ana.email, HOME, 9)
    for number in range(30):
        guess(f"guess{number}@example.com", HOME)
    assert is_slowed(ana.email, HOME)
    assert not is_slowed(ana.email, HOME, device)


def test_guesses_from_very_many_addresses_slow_strangers_and_nobody_else(ana: User) -> None:
    device = device_of(ana.email)
    for number in range(120):
        guess(ana.email, f"192.0.2.{number}")
    assert is_slowed(ana.email, ELSEWHERE)
    assert not is_slowed(ana.email, ELSEWHERE, device)


def test_a_device_cookie_is_no_way_around(ana: User) -> None:
    device = device_of(ana.email)
    guess(ana.email, ELSEWHERE, 5, device)
    assert is_slowed(ana.email, ELSEWHERE, device)
    assert is_slowed(ana.email, "192.0.2.1", device)  # from wherever
    assert not is_slowed(ana.email, HOME)


def test_a_device_cookie_is_worth_something_for_its_account_alone(ana: User) -> None:
    access.add_user(LOCAL, "ben@example.com", "member", RIGHT)
    bens = device_of("ben@example.com")
    guess(ana.email, ELSEWHERE, 5, bens)
    assert is_slowed(ana.email, ELSEWHERE, bens)
    assert not is_slowed("ben@example.com", ELSEWHERE, bens)


def expired(cookie: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(time, "time", lambda: 4_102_444_800.0)  # the year 2100
    return cookie


def of_another_key(cookie: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HUB_SECRET_KEYS", new_key())
    settings.cache_clear()
    return cookie


def after_a_new_password(cookie: str, monkeypatch: pytest.MonkeyPatch) -> str:
    access.set_password(LOCAL, "ana@example.com", RIGHT)
    return cookie


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda cookie, _: "",
        lambda cookie, _: "x" * 100_000,
        lambda cookie, _: "a.1.b",
        lambda cookie, _: "ünï.9999999999.code",
        lambda cookie, _: cookie.replace(cookie.split(".")[0], "a" * 22),
        lambda cookie, _: cookie.replace(cookie.split(".")[1], "9" * 10),
        lambda cookie, _: cookie.replace(cookie.split(".")[1], "9" * 5000),
        lambda cookie, _: cookie[:-1],
        lambda cookie, _: f"{cookie}.x",
        expired,
        of_another_key,
        after_a_new_password,
    ],
)
def test_a_cookie_that_is_not_the_hubs_own_is_a_strangers(
    ana: User, monkeypatch: pytest.MonkeyPatch, spoilt: Callable[[str, pytest.MonkeyPatch], str]
) -> None:
    cookie = spoilt(device_of(ana.email), monkeypatch)
    guess(ana.email, ELSEWHERE, 5)
    assert is_slowed(ana.email, ELSEWHERE, cookie)


def test_only_who_is_signed_in_gets_a_device_cookie(ana: User) -> None:
    for token in ("", "guess", "x" * 10_000):
        assert access.device_cookie(token) == ""


def test_a_key_that_is_replaced_keeps_the_devices_it_signed(
    ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, old = device_of(ana.email), settings().secret_key_file.read_text().strip()
    monkeypatch.setenv("HUB_SECRET_KEYS", f"{new_key()},{old}")
    settings.cache_clear()
    guess(ana.email, ELSEWHERE, 5)
    assert not is_slowed(ana.email, ELSEWHERE, device)


def test_a_hub_whose_key_is_gone_still_lets_people_in(ana: User) -> None:
    device = device_of(ana.email)
    settings().secret_key_file.unlink()
    assert access.sign_in(ana.email, RIGHT, HOME, device)
    assert access.device_cookie(access.sign_in(ana.email, RIGHT, HOME)) == ""


def test_neighbours_in_a_network_of_ipv6_are_one_address(ana: User) -> None:
    """Whoever has one address there has 2^64."""
    for number in range(5):
        guess(ana.email, f"2001:db8:1:2::{number:x}")
    assert is_slowed(ana.email, "2001:db8:1:2:ffff::1")
    assert not is_slowed(ana.email, "2001:db8:1:3::1")
    for number in range(5):
        guess(ana.email, f"::ffff:192.0.2.{number}")
    assert not is_slowed(ana.email, "::ffff:192.0.2.200")


def test_a_failure_is_forgiven_each_quarter_of_an_hour() -> None:
    now = [0.0]
    limit = LoginLimit(free=5, clock=lambda: now[0])
    for _ in range(100):  # one a day, for months
        limit.fail("ana")
        assert limit.wait_s("ana") == 0
        now[0] += 86_400
    for _ in range(20):  # as fast as one may: four an hour, in the end
        limit.fail("ana")
        now[0] += limit.wait_s("ana")
    began = now[0]
    for _ in range(20):
        limit.fail("ana")
        now[0] += limit.wait_s("ana")
    assert now[0] - began > 20 * 600


def test_what_is_remembered_of_guessers_is_bounded(ana: User) -> None:
    for brake in sessions.BRAKES:
        assert brake.size <= 10_000
        for number in range(brake.size + 100):
            brake.fail(f"name {number}")
        assert len(brake._failed) == brake.size
