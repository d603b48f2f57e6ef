"""A tab that is open since its person lost a right does nothing more: each action asks who they are now."""

from collections.abc import Callable

import pytest
import streamlit as st

from core import access, connections
from core.access import LOCAL, Principal
from core.platform.secret import Secret
from core.storage import db
from core.storage.models import Connection, User
from core.web.ui import session
from tests.support import scenes
from tests.support.visits import Visit, ana, own_hub, principal, visit

__all__ = ["ana", "own_hub", "visit"]

pytestmark = pytest.mark.security

LOSSES: dict[str, Callable[[User], object]] = {
    "disabled": lambda who: access.disable_user(LOCAL, who.email),
    "a viewer": lambda who: access.set_role(LOCAL, who.email, "viewer"),
    "signed out": lambda who: access.set_password(LOCAL, who.email, access_password()),
}


def access_password() -> Secret:
    return Secret("another long password")


def is_on(ref: str) -> bool:
    with db.reading() as database:
        return database.get_one(Connection, ref).is_active


@pytest.mark.parametrize("loss", LOSSES)
def test_a_switch_of_an_open_tab_does_nothing_any_more(ana: User, visit: Visit, loss: str) -> None:
    with db.session() as database:
        ref = scenes.connect(database, ana.id, "SOC").id
    page = visit(ana, "connections")
    LOSSES[loss](ana)
    page.toggle(key=f"on_{ref}").set_value(False).run()
    assert not page.exception
    assert is_on(ref)


def test_a_dialog_acts_as_who_its_person_is_when_they_press(
    ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Principal] = []
    drawn_again: list[bool] = []
    monkeypatch.setattr(st, "rerun", lambda: drawn_again.append(True))
    pressed = session.acting(lambda who, number: seen.append(who))
    monkeypatch.setattr(session, "signed_in_user", lambda: principal(ana))
    pressed(1)
    access.set_role(LOCAL, ana.email, "viewer")
    with db.reading() as database:
        now = access.principal.principal_of(access.find_user(database, ana.email))
    monkeypatch.setattr(session, "signed_in_user", lambda: now)
    pressed(2)
    monkeypatch.setattr(session, "signed_in_user", lambda: None)
    pressed(3)
    assert [who.role for who in seen] == ["member", "viewer"]
    assert drawn_again == [True]
    with pytest.raises(Exception, match="There is no connection"):
        connections.delete(now, "SOC")
