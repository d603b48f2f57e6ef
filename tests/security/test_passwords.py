"""A password that is guessed first is not taken; whoever has one from before still signs in."""

import pytest
from argon2 import PasswordHasher

from core import access
from core.access import LOCAL, sessions
from core.platform.errors import Invalid
from core.platform.secret import Secret
from core.storage import db
from core.storage.models import User

pytestmark = pytest.mark.security

EMAIL = "ana.schmidt@example.com"
ADDRESS = "203.0.113.7"
#: in every list of leaked ones, or what is made of them when twelve characters are asked for
COMMON = (
    *("password1234", "password123456", "P@ssw0rd1234", "passwordpassword", "Password123!", "1234567890123"),
    *("qwertyuiop12", "qwertyuiopasdf", "1qaz2wsx3edc", "aaaaaaaaaaaa", "abcdefghijkl", "abcabcabcabc"),
    *("iloveyou1234", "letmeinletmein", "adminadminadmin", "welcome12345", "zaq12wsxcde3", "111111111111111"),
)
#: what a guesser tries first of this account, on this hub
ABOUT_THEM = ("ana.schmidt@example.com", "AnaSchmidt2026", "footprintiq123", "ana.schmidt1")
GOOD = (
    "correct horse battery",
    "a long enough one",
    "kX9!vbn2Lq0p",
    "ein Satz mit Ümläuten",
    "x7" + "é" * 3 + "—Fq2mZ!wB",
)


@pytest.fixture(autouse=True)
def released_brakes() -> None:
    for brake in sessions.BRAKES:
        brake.forget()


@pytest.mark.parametrize("password", [*COMMON, *(word.upper() for word in COMMON[:6]), *ABOUT_THEM])
def test_a_password_that_is_guessed_first_is_not_taken(sqlite_database: str, password: str) -> None:
    db.configure(sqlite_database)
    for take in (
        lambda: access.add_user(LOCAL, EMAIL, "member", Secret(password)),
        lambda: access.first_admin(Secret(password), EMAIL),
    ):
        with pytest.raises(Invalid, match=r"easily guessed.*Choose another one") as caught:
            take()
        assert set(caught.value.fields) == {"password"}
        assert password not in caught.value.message
    assert access.list_users(LOCAL) == []


def test_nor_when_it_is_changed(sqlite_database: str) -> None:
    db.configure(sqlite_database)
    access.add_user(LOCAL, EMAIL, "member", Secret(GOOD[0]))
    for password in (COMMON[0], ABOUT_THEM[1], "short one"):
        with pytest.raises(Invalid):
            access.set_password(LOCAL, EMAIL, Secret(password))
    assert access.sign_in(EMAIL, Secret(GOOD[0]), ADDRESS)


@pytest.mark.parametrize("password", [*GOOD, "y" + "ab1 " * 255])
def test_a_good_one_is_taken(sqlite_database: str, password: str) -> None:
    db.configure(sqlite_database)
    access.add_user(LOCAL, EMAIL, "member", Secret(password))
    assert access.sign_in(EMAIL, Secret(password), ADDRESS)


def test_who_has_a_weak_one_from_before_still_signs_in(database: str) -> None:
    with db.session() as session:
        weak = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash("password12")
        now = db.now(session)
        session.add(User(id="u-1", email=EMAIL, role="member", password_hash=weak, created_at=now))
    assert access.sign_in(EMAIL, Secret("password12"), ADDRESS)
