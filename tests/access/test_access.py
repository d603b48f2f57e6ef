"""Roles, sign-in, sessions and tokens, on both databases."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlmodel import select

from core import access
from core.access import LOCAL, TooMany, passwords, sessions
from core.access.login_limit import LoginLimit
from core.access.principal import require_member
from core.platform.errors import Conflict, Forbidden, Invalid, NotFound
from core.platform.secret import Secret
from core.storage import db
from core.storage.models import ApiToken, AuditEntry, Connection, SignIn, User
from tests.conftest import People
from tests.support.scenes import connect

RIGHT = Secret("a long enough one")
ADDRESS = "203.0.113.7"


@pytest.fixture(autouse=True)
def released_brakes() -> None:
    for brake in sessions.BRAKES:
        brake.forget()


@pytest.fixture
def ana(database: str) -> User:
    return access.add_user(LOCAL, "ana@example.com", "member", RIGHT)


def signed_in_email(token: str) -> str | None:
    who = access.signed_in(token)
    return who.email if who else None


def age_session(by: timedelta, *, since: str) -> None:
    with db.session() as session:
        for row in session.exec(select(SignIn)):
            setattr(row, since, getattr(row, since) - by)
            session.add(row)


def audited() -> list[tuple[str, str, str]]:
    with db.reading() as session:
        return [(row.actor, row.action, row.subject) for row in session.exec(select(AuditEntry))]


# --- people ---------------------------------------------------------------------------------------


def test_a_person_is_found_by_e_mail_whatever_its_case(ana: User) -> None:
    with db.reading() as session:
        assert access.find_user(session, " Ana@Example.COM ").id == ana.id


def test_an_unknown_person_is_named_with_the_nearest_one(ana: User) -> None:
    with db.reading() as session, pytest.raises(NotFound, match="Did you mean"):
        access.find_user(session, "anna@example.com")


@pytest.mark.parametrize(
    "email",
    ["", "ana", "ana@", "@example.com", "a b@example.com", "a@b,c@d", "a\n@example.com", "<a@b>", "a" * 300],
)
def test_what_is_no_e_mail_is_refused(database: str, email: str) -> None:
    with pytest.raises(Invalid, match="not an e-mail") as caught:
        access.add_user(LOCAL, email, "member", RIGHT)
    assert "email" in caught.value.fields


def test_an_e_mail_or_external_id_is_taken_once(database: str) -> None:
    access.add_user(LOCAL, "ana@example.com", "member", RIGHT, "u-1")
    with pytest.raises(Conflict, match="already a user"):
        access.add_user(LOCAL, "ANA@example.com", "viewer", RIGHT)
    with pytest.raises(Conflict, match="belongs to another user"):
        access.add_user(LOCAL, "ben@example.com", "viewer", RIGHT, "u-1")


def test_a_misspelt_role_names_the_nearest(database: str) -> None:
    with pytest.raises(Invalid, match='Did you mean "viewer"'):
        access.add_user(LOCAL, "ana@example.com", "viewr", RIGHT)


@pytest.mark.parametrize("password", ["", "elevenchars", "x" * 1025])
def test_a_password_has_twelve_to_1024_characters(database: str, password: str) -> None:
    with pytest.raises(Invalid, match="12 to 1,024"):
        access.add_user(LOCAL, "ana@example.com", "member", Secret(password))
    assert access.list_users(LOCAL) == []


def test_members_add_nobody_and_see_only_themselves(people: People) -> None:
    with pytest.raises(Forbidden, match="Only an admin"):
        access.add_user(people.a, "new@example.com", "admin", RIGHT)
    assert [user.email for user in access.list_users(people.a)] == [people.a.email]
    assert len(access.list_users(people.admin)) == 3


@pytest.mark.parametrize(
    "take_away",
    [
        lambda email: access.set_role(LOCAL, email, "member"),
        lambda email: access.disable_user(LOCAL, email),
    ],
)
def test_the_last_admin_stays_one(database: str, take_away: Callable[[str], None]) -> None:
    access.add_user(LOCAL, "root@example.com", "admin", RIGHT)
    with pytest.raises(Conflict, match="the only admin left"):
        take_away("root@example.com")
    access.add_user(LOCAL, "second@example.com", "admin", RIGHT)
    take_away("root@example.com")
    with pytest.raises(Conflict, match="the only admin left"):
        take_away("second@example.com")


def test_a_disabled_admin_does_not_count_as_one_left(database: str) -> None:
    for name in ("root", "second"):
        access.add_user(LOCAL, f"{name}@example.com", "admin", RIGHT)
    access.disable_user(LOCAL, "second@example.com")
    with pytest.raises(Conflict, match="the only admin left"):
        access.set_role(LOCAL, "root@example.com", "viewer")


def test_the_first_admin_is_made_once_with_a_password_that_works(database: str) -> None:
    made = access.first_admin(None)
    assert made is not None
    email, password = made
    assert signed_in_email(access.sign_in(email, password, ADDRESS)) == email
    assert access.first_admin(None) is None


def test_the_first_admin_takes_the_given_password(database: str) -> None:
    assert access.first_admin(RIGHT) == ("admin@hub.local", RIGHT)


def test_no_password_is_readable_in_the_database(ana: User) -> None:
    assert ana.password_hash is not None
    assert ana.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert RIGHT.reveal() not in ana.password_hash


# --- sign-in --------------------------------------------------------------------------------------


def test_signing_in_gives_a_session_with_the_role_of_now(ana: User) -> None:
    token = access.sign_in("Ana@example.com", RIGHT, ADDRESS)
    assert access.signed_in(token) == access.Principal(ana.id, ana.email, "member")
    access.set_role(LOCAL, ana.email, "viewer")
    who = access.signed_in(token)
    assert who is not None
    assert who.role == "viewer"


def test_the_database_does_not_hold_what_the_cookie_holds(ana: User) -> None:
    token = access.sign_in(ana.email, RIGHT, ADDRESS)
    with db.reading() as session:
        row = session.exec(select(SignIn)).one()
    assert token not in row.model_dump_json()
    assert len(token) >= 43  # 256 bits
    assert access.signed_in(row.token_hash) is None


def test_each_sign_in_has_a_token_of_its_own(ana: User) -> None:
    assert access.sign_in(ana.email, RIGHT, ADDRESS) != access.sign_in(ana.email, RIGHT, ADDRESS)


def test_every_wrong_pair_gets_the_same_answer(ana: User) -> None:
    access.add_user(LOCAL, "nopassword@example.com", "member", None)
    access.add_user(LOCAL, "gone@example.com", "member", RIGHT)
    access.disable_user(LOCAL, "gone@example.com")
    answers = set()
    for email, password in (
        (ana.email, Secret("a wrong password")),
        ("nobody@example.com", RIGHT),
        ("nopassword@example.com", Secret("nobody has this password")),
        ("gone@example.com", RIGHT),
        (ana.email, Secret("x" * 100_000)),
    ):
        with pytest.raises(Forbidden) as caught:
            access.sign_in(email, password, ADDRESS)
        answers.add(caught.value.message)
    assert len(answers) == 1


def test_an_unknown_person_costs_the_same_hashing(ana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    verify = type(passwords._HASHER).verify

    def counting(self: object, stored: str, plain: str) -> bool:
        hashed.append(stored.rsplit("$", 2)[0])
        return bool(verify(self, stored, plain))

    monkeypatch.setattr(type(passwords._HASHER), "verify", counting)
    for email in (ana.email, "nobody@example.com"):
        with pytest.raises(Forbidden):
            access.sign_in(email, Secret("a wrong password"), ADDRESS)
    assert len(hashed) == 2
    assert hashed[0] == hashed[1]


def test_after_five_failures_even_the_right_password_waits(ana: User) -> None:
    for _ in range(5):
        with pytest.raises(Forbidden, match="not right"):
            access.sign_in(ana.email, Secret("a wrong password"), ADDRESS)
    with pytest.raises(TooMany, match=r"Wait \d+ seconds") as caught:
        access.sign_in(ana.email, RIGHT, ADDRESS)
    assert 25 <= caught.value.wait_s <= 30


def test_an_address_that_tries_many_accounts_waits_too(ana: User) -> None:
    for number in range(20):
        with pytest.raises(Forbidden, match="not right"):
            access.sign_in(f"guess{number}@example.com", RIGHT, ADDRESS)
    with pytest.raises(TooMany):
        access.sign_in(ana.email, RIGHT, ADDRESS)
    assert access.sign_in(ana.email, RIGHT, "198.51.100.1")


def test_a_success_forgets_the_failures_before_it(ana: User) -> None:
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(Forbidden, match="not right"):
                access.sign_in(ana.email, Secret("a wrong password"), ADDRESS)
            sessions.ADDRESSES.forget()
        assert access.sign_in(ana.email, RIGHT, ADDRESS)


def test_the_brake_doubles_up_to_fifteen_minutes_and_forgets_the_oldest() -> None:
    time = [0.0]
    limit = LoginLimit(free=5, size=3, clock=lambda: time[0])
    waits = []
    for _ in range(12):
        limit.fail("ana")
        waits.append(limit.wait_s("ana"))
    assert waits == [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900]
    time[0] = 901
    assert limit.wait_s("ana") == 0
    for name in ("b", "c", "d"):
        limit.fail(name)
    assert len(limit._failed) == 3
    assert "ana" not in limit._failed


def test_at_most_two_passwords_are_hashed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most, lock = 0, 0, threading.Lock()
    verify = type(passwords._HASHER).verify

    def watched(self: object, stored: str, plain: str) -> bool:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        try:
            return bool(verify(self, stored, plain))
        finally:
            with lock:
                at_once -= 1

    passwords.is_right(None, RIGHT)
    monkeypatch.setattr(type(passwords._HASHER), "verify", watched)
    threads = [threading.Thread(target=passwords.is_right, args=(None, RIGHT)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


# --- sessions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "", "guess", "x" * 10_000, "ünïcode"])
def test_a_guessed_token_is_nobody(ana: User, token: str | None) -> None:
    assert access.signed_in(token) is None


def test_a_session_ends_after_eight_idle_hours(ana: User) -> None:
    token = access.sign_in(ana.email, RIGHT, ADDRESS)
    age_session(timedelta(hours=7, minutes=59), since="seen_at")
    assert signed_in_email(token) == ana.email
    age_session(timedelta(minutes=2), since="seen_at")
    assert access.signed_in(token) is None
    access.stay_signed_in(token)


def test_doing_something_keeps_a_session_but_not_beyond_seven_days(ana: User) -> None:
    token = access.sign_in(ana.email, RIGHT, ADDRESS)
    age_session(timedelta(hours=7), since="seen_at")
    access.stay_signed_in(token)
    age_session(timedelta(hours=7), since="seen_at")
    assert signed_in_email(token) == ana.email
    age_session(timedelta(days=7), since="expires_at")
    access.stay_signed_in(token)
    assert access.signed_in(token) is None


def test_looking_does_not_count_as_doing(ana: User) -> None:
    token = access.sign_in(ana.email, RIGHT, ADDRESS)
    age_session(timedelta(hours=7), since="seen_at")
    access.signed_in(token)
    age_session(timedelta(hours=2), since="seen_at")
    assert access.signed_in(token) is None


def test_signing_out_ends_this_session_only(ana: User) -> None:
    here, there = (access.sign_in(ana.email, RIGHT, ADDRESS) for _ in range(2))
    access.sign_out(here)
    access.sign_out(here)
    assert access.signed_in(here) is None
    assert signed_in_email(there) == ana.email


@pytest.mark.parametrize(
    "change",
    [
        lambda email: access.disable_user(LOCAL, email),
        lambda email: access.set_password(LOCAL, email, Secret("another long one")),
    ],
)
def test_a_disabled_account_or_new_password_ends_every_session(
    ana: User, change: Callable[[str], None]
) -> None:
    tokens = [access.sign_in(ana.email, RIGHT, ADDRESS) for _ in range(2)]
    change(ana.email)
    assert [access.signed_in(token) for token in tokens] == [None, None]


def test_sessions_that_are_over_are_removed_at_the_next_sign_in(ana: User) -> None:
    access.sign_in(ana.email, RIGHT, ADDRESS)
    age_session(timedelta(hours=9), since="seen_at")
    access.sign_in(ana.email, RIGHT, ADDRESS)
    with db.reading() as session:
        assert len(session.exec(select(SignIn)).all()) == 1


def test_what_people_do_with_accounts_is_in_the_audit_log(ana: User) -> None:
    token = access.sign_in(ana.email, RIGHT, ADDRESS)
    with pytest.raises(Forbidden):
        access.sign_in(ana.email, Secret("a wrong password"), ADDRESS)
    access.sign_out(token)
    assert audited() == [
        (LOCAL.email, "user.add", ana.email),
        (ana.email, "sign_in", ADDRESS),
        (ana.email, "sign_in.refused", ADDRESS),
        (ana.email, "sign_out", ""),
    ]


# --- tokens ---------------------------------------------------------------------------------------


def test_a_token_acts_as_its_user_until_revoked(ana: User) -> None:
    token = access.create_token(LOCAL, ana.email, "CI", None)
    assert token.startswith("hub_")
    assert access.by_token(token) == access.Principal(ana.id, ana.email, "member")
    (row,) = access.list_tokens(LOCAL)
    assert token not in row.model_dump_json()
    access.revoke_token(LOCAL, row.id)
    assert access.by_token(token) is None


def test_a_token_expires(ana: User) -> None:
    token = access.create_token(LOCAL, ana.email, "CI", 1)
    with db.session() as session:
        row = session.exec(select(ApiToken)).one()
        assert row.expires_at is not None
        row.expires_at -= timedelta(days=1)
        session.add(row)
    assert access.by_token(token) is None


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_a_token_lives_one_to_3650_days(ana: User, days: int) -> None:
    with pytest.raises(Invalid, match="from 1 to 3,650 days"):
        access.create_token(LOCAL, ana.email, "CI", days)


def test_a_disabled_users_token_is_worth_nothing(ana: User) -> None:
    token = access.create_token(LOCAL, ana.email, "CI", None)
    access.disable_user(LOCAL, ana.email)
    assert access.by_token(token) is None
    access.enable_user(LOCAL, ana.email)
    assert access.by_token(token) is not None


def test_when_a_token_was_last_used_is_known(ana: User) -> None:
    token = access.create_token(LOCAL, ana.email, "CI", None)
    assert access.list_tokens(LOCAL)[0].last_used_at is None
    access.by_token(token)
    first = access.list_tokens(LOCAL)[0].last_used_at
    access.by_token(token)
    assert first is not None
    assert access.list_tokens(LOCAL)[0].last_used_at == first


@pytest.mark.parametrize("token", ["", "hub_", "hub_guess", "Bearer hub_x"])
def test_a_guessed_api_token_is_nobody(ana: User, token: str) -> None:
    assert access.by_token(token) is None


def test_members_make_and_see_and_revoke_only_their_own_tokens(people: People) -> None:
    access.create_token(people.a, people.a.email, "mine", 30)
    access.create_token(people.admin, people.b.email, "theirs", 30)
    with pytest.raises(Forbidden):
        access.create_token(people.a, people.b.email, "not mine", 30)
    assert [token.name for token in access.list_tokens(people.a)] == ["mine"]
    (theirs,) = access.list_tokens(people.b)
    unknown = "00000000-0000-4000-8000-000000000000"
    messages = []
    for token_id in (theirs.id, unknown):
        with pytest.raises(NotFound) as caught:
            access.revoke_token(people.a, token_id)
        messages.append(caught.value.message.replace(token_id, "…"))
    assert messages[0] == messages[1]
    assert access.list_tokens(people.b)[0].revoked_at is None


# --- which rows -----------------------------------------------------------------------------------


def test_who_sees_and_who_changes_which_connections(people: People) -> None:
    viewer = access.Principal(people.a.user_id, people.a.email, "viewer")
    with db.session() as session:
        connect(session, people.a.user_id, "a")
        connect(session, people.b.user_id, "b")
        connect(session, people.b.user_id, "b shared", shared=True)

    def names(clause: object) -> list[str]:
        with db.reading() as session:
            return sorted(session.exec(select(Connection.name).where(clause)))  # type: ignore[call-overload]

    assert names(access.visible(people.a)) == ["a", "b shared"]
    assert names(access.visible(people.admin)) == ["a", "b", "b shared"]
    assert names(access.visible(viewer)) == ["a", "b shared"]
    assert names(access.changeable(people.a)) == ["a"]
    assert names(access.changeable(people.b)) == ["b", "b shared"]
    assert names(access.changeable(people.admin)) == ["a", "b", "b shared"]
    assert names(access.changeable(viewer)) == []


def test_who_may_change_one_connection(people: People) -> None:
    owner = people.a
    viewer = access.Principal(owner.user_id, owner.email, "viewer")
    for by in (owner.user_id, owner.email):
        asked = (owner, people.b, people.admin, viewer)
        assert [access.may_change(who, by) for who in asked] == [True, False, True, False]


def test_a_viewer_is_refused_with_the_way_on(people: People) -> None:
    viewer = access.Principal(people.a.user_id, people.a.email, "viewer")
    refused = "^A viewer cannot store records. Ask an admin for the role member.$"
    with pytest.raises(Forbidden, match=refused):
        require_member(viewer, "store records")
    for who in (people.a, people.admin, LOCAL):
        require_member(who, "store records")
