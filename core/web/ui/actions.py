"""What a person does to one connection, from any page: each a dialog, or a toast when it is quick."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from functools import partial
from time import monotonic

import streamlit as st

from core import connections
from core.access import Principal
from core.connections import ConnectionRow
from core.delivery import history, sync
from core.delivery.history.held import lost
from core.delivery.sync import Result
from core.platform.errors import Conflict, HubError
from core.storage.models import Category
from core.web import pools
from core.web.ui import test_steps
from core.web.ui.errors import doing, flash, guarded, show_flash
from core.web.ui.markup import escaped, muted
from core.web.ui.session import acting
from core.web.ui.words import capital

#: one sync from a page; what is left then goes on by the schedule
SYNC_S = 120.0
_LOOK_EVERY_S = 0.5
_ASKED = "asked_action"
Asked = tuple[str, str]  # action, connection id

SYNC, SEND_ALL, TEST, EDIT, SECRETS, PAUSE, RESUME, DELETE, DISCARD = (
    "Sync now",
    "Send all now",
    "Test",
    "Edit",
    "Re-authorize",
    "Pause",
    "Switch on",
    "Delete",
    "Discard",
)
MENU_ICON = {
    SYNC: ":material/sync:",
    SEND_ALL: ":material/fast_forward:",
    TEST: ":material/network_check:",
    EDIT: ":material/edit:",
    SECRETS: ":material/key:",
    PAUSE: ":material/pause_circle:",
    RESUME: ":material/play_circle:",
    DELETE: ":material/delete:",
}


def menu(who: Principal, connection_id: str, is_active: bool, *, is_known: bool = True) -> None:
    """The menu of a connection that `who` may change; without its entry in the catalog it is a short one."""
    options = [PAUSE if is_active else RESUME, DELETE]
    if is_known:
        options = [*([SYNC] if is_active else []), TEST, EDIT, SECRETS, *options]
    picked = st.menu_button(
        "More",
        options,
        key=f"menu_{connection_id}",
        type="tertiary",
        format_func=lambda option: f"{MENU_ICON[option]} {option}",
    )
    if picked:
        act(who, picked, connection_id)


def act(who: Principal, action: str, connection_id: str) -> None:
    if action in (EDIT, SECRETS):
        query = {"edit": connection_id} | ({"only": "secrets"} if action == SECRETS else {})
        st.switch_page("pages/connect.py", query_params=query)
    if action in (PAUSE, RESUME):
        switch(who, connection_id, action == RESUME)
    else:
        ask(action, connection_id)
    st.rerun()


def ask(action: str, connection_id: str) -> None:
    """Opens the action's dialog when the whole page is drawn next."""
    st.session_state[_ASKED] = (action, connection_id)


def is_asked() -> bool:
    """In a fragment: something is asked that only the whole page can show."""
    return _ASKED in st.session_state


def take_asked() -> Asked | None:
    found: Asked | None = st.session_state.pop(_ASKED, None)
    return found


def show_asked(who: Principal, asked: Asked | None = None) -> None:
    """Once per page, outside of any fragment: a dialog of a fragment closes when that refreshes itself."""
    found = asked or take_asked()
    if found is None:
        return
    action, connection_id = found
    line = next((line for line in connections.board(who).lines if line.id == connection_id), None)
    if line is None:
        flash("It is not there any more: somebody deleted it, perhaps in another tab.", failed=True)
        show_flash()
    else:
        _DIALOGS[action](line)


def switch(who: Principal, connection_id: str, is_on: bool) -> None:
    """On or off. Where much is waiting, a person says what becomes of it."""
    if not is_on:
        with doing("It is paused: nothing is sent until somebody switches it on."):
            connections.disable(who, connection_id)
        return
    with doing():
        try:
            connections.enable(who, connection_id)
            flash("It is on again and sends what was waiting.")
        except Conflict:
            ask(RESUME, connection_id)


@st.dialog("Sync now", icon=":material/sync:")
@guarded()
@acting
def _sync_now(who: Principal, line: ConnectionRow) -> None:
    _sync(who, line, drain=False)


@st.dialog("Send all now", icon=":material/fast_forward:")
@guarded()
@acting
def _send_all(who: Principal, line: ConnectionRow) -> None:
    muted("Everything that waits by now, however many. The scheduler goes on with what this does not reach.")
    _sync(who, line, drain=True)


def _sync(who: Principal, line: ConnectionRow, *, drain: bool) -> None:
    st.text(line.name)
    with st.status(f"Sending to {escaped(line.vendor)}…", expanded=True) as status:
        said = st.empty()
        result = _run(who, line, drain, lambda text: said.text(text))
        said.text(result.message)
        label = "Done" if result.success else "It did not work"
        status.update(label=label, state="complete" if result.success else "error", expanded=True)
    if st.button("Close", key=f"close_{line.id}"):
        st.rerun()


def _run(who: Principal, line: ConnectionRow, drain: bool, say: Callable[[str], object]) -> Result:
    """A page's thread may end at any moment (a click, a closed tab); the sync it began goes on to its own end."""
    work = partial(sync.run, line.id, "manual", who=who, deadline_s=SYNC_S, drain=drain)
    try:
        return _watch(pools.SYNCS.begin(who.user_id, work), who, line, say)
    except HubError as error:
        return Result(False, 0, error.message, {})


def _watch(
    began: "Future[Result]", who: Principal, line: ConnectionRow, say: Callable[[str], object]
) -> Result:
    """The result, with a word on how far it is until then."""
    start = monotonic()
    while True:
        try:
            return began.result(timeout=_LOOK_EVERY_S)
        except NotYet:
            waiting = connections.find(who, line.id).unsent
            say(f"{capital(waiting)} waiting, {monotonic() - start:.0f} s so far.")


@st.dialog("Test", icon=":material/network_check:", width="medium")
@guarded()
@acting
def _test(who: Principal, line: ConnectionRow) -> None:
    st.text(line.name)
    with pools.TESTS.held(who.user_id):
        steps = test_steps.watch(line.vendor, connections.stages(who, line.id))
    if test_steps.is_well(steps):
        muted("What was wrong with it before is forgotten; it goes on by its schedule.")
    with st.container(horizontal=True):
        if st.button("Close", key=f"close_{line.id}"):
            st.rerun()
        if not test_steps.is_well(steps) and st.button("Edit", key=f"edit_{line.id}", icon=":material/edit:"):
            st.switch_page("pages/connect.py", query_params={"edit": line.id})


@st.dialog("Delete this connection?", icon=":material/delete:")
@guarded()
@acting
def _delete(who: Principal, line: ConnectionRow) -> None:
    st.text(line.name)
    lines = ["The credentials are destroyed."]
    if line.facts.unsent:
        lines.append(f"{capital(line.facts.unsent.text)} records that wait for it are not sent.")
    lines.append("The list of deliveries and the runs stay.")
    if line.category == Category.TICKETING:
        lines.append("Tickets keep their links, so that no case gets a second one.")
    lines.append(f"Nothing is removed in {escaped(line.vendor)} itself.")
    st.markdown("\n".join(f"- {line}" for line in lines))
    with st.container(horizontal=True):
        if st.button("Delete", key="really_delete", icon=":material/delete:"):
            with doing():
                connections.delete(who, line.id)
                flash(f"{line.name} is deleted.")
                st.switch_page("pages/connections.py")  # its own page is not there any more
            st.rerun()
        if st.button("Keep it", key="keep"):
            st.rerun()


@st.dialog("What about the records that wait?", icon=":material/inventory_2:")
@guarded()
@acting
def _resume(who: Principal, line: ConnectionRow) -> None:
    st.text(line.name)
    st.text(f"{capital(line.facts.unsent.text)} records have been waiting while it was off.")
    with st.container(horizontal=True):
        send = st.button("Send them all", type="primary", key="send", icon=":material/send:")
        skip = st.button(
            "Skip them",
            key="skip",
            help="What waits is marked as skipped; only what becomes wanted from now on is sent.",
        )
        if send or skip:
            said = (
                "It is on again and sends what was waiting." if send else "It is on again; they are skipped."
            )
            with doing(said):
                connections.enable(who, line.id, "send" if send else "skip")
            st.rerun()


@st.dialog("Discard what is held?", icon=":material/pan_tool:")
@guarded()
@acting
def _discard(who: Principal, line: ConnectionRow) -> None:
    st.text(line.name)
    st.text(lost(line.facts.held, line.vendor))
    with st.container(horizontal=True):
        if st.button("Discard", key="really_discard"):
            with doing("They are discarded. On Deliveries, Replay… with the state Skipped takes it back."):
                history.discard(who, line.id)
            st.rerun()
        if st.button("Keep them", key="keep_held", type="primary"):
            st.rerun()


_DIALOGS = {
    SYNC: _sync_now,
    SEND_ALL: _send_all,
    TEST: _test,
    DELETE: _delete,
    RESUME: _resume,
    DISCARD: _discard,
}
