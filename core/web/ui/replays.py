"""Many deliveries once more, on a page: choose, see how many and what may be there already, say yes; and how far."""

from datetime import datetime, timedelta

import streamlit as st

from core import connections
from core.access import Principal
from core.delivery.history import Plan, ReplayFilter, plan, replays
from core.delivery.history.replay_filter import REPLAYABLE
from core.delivery.history.replay_plan import counted
from core.delivery.history.replays import Progress
from core.health import duration
from core.storage.models import Kind, ReplayState, State
from core.web.ui.errors import doing, flash, guarded
from core.web.ui.markup import escaped, muted
from core.web.ui.session import acting, watching_user
from core.web.ui.tables import STATE
from core.web.ui.words import ago

REFRESH_S = 2
SHOWN = 3
_TIMES = {"Any time": None, "Last 24 hours": 24, "Last 7 days": 168, "Last 30 days": 720}
_KINDS = {Kind.SCAN: "Scans", Kind.CASE: "Cases", Kind.ALERT: "Alerts"}
_ASKED, _NOW = "asked_replay", "replay_now"


def button(who: Principal) -> None:
    """Opens the dialog; a viewer has none."""
    if not who.is_viewer:
        st.button("Replay…", icon=":material/replay:", key="replay_many", on_click=_ask)


def _ask() -> None:
    st.session_state[_ASKED] = True


def show_asked(chosen: str | None) -> None:
    """`chosen` is the connection that the page is filtered by."""
    if st.session_state.pop(_ASKED, False):
        st.session_state.pop(_NOW, None)
        _dialog(chosen)


@st.dialog("Replay deliveries", icon=":material/replay:", width="medium")
@guarded()
@acting
def _dialog(who: Principal, chosen: str | None) -> None:
    muted("They go back in the queue under their own keys, with all their attempts. First the count.")
    wanted = _filters(who, chosen)
    found = plan(who, wanted)
    _count(found)
    if found.is_empty:
        return
    sure = found.state is not State.DELIVERED or st.checkbox(
        "Yes, the tool gets these records a second time.", key="replay_again"
    )
    label = f"Replay {counted(found.count, found.more)}"
    if st.button(label, type="primary", key="replay_go", icon=":material/replay:", disabled=not sure):
        with doing():
            flash(_begun(replays.begin(who, wanted, again=found.state is State.DELIVERED).replays))
        st.rerun()


def _filters(who: Principal, chosen: str | None) -> ReplayFilter:
    names = {line.id: line.name for line in connections.board(who).lines if line.is_changeable}
    left, right = st.columns(2, gap="small")
    ids = list(names)
    connection = left.selectbox(
        "Connection",
        ids,
        index=ids.index(chosen) if chosen in names else None,
        format_func=lambda id: names.get(id, id),
        placeholder="All connections",
        key="replay_connection",
    )
    state = right.selectbox(
        "State", list(REPLAYABLE), format_func=lambda state: STATE[state][0], key="replay_state"
    )
    kind = left.selectbox(
        "Records",
        list(Kind),
        index=None,
        format_func=lambda kind: _KINDS[kind],
        placeholder="All kinds",
        key="replay_kind",
    )
    time = right.selectbox("Queued", list(_TIMES), key="replay_time")
    reason = st.text_input("Reason", placeholder="A part of the sentence that says why", key="replay_reason")
    return ReplayFilter.of(
        {"connection": connection, "state": state, "kind": kind, "reason": reason, "since": _since(time)}
    )


def _since(time: str) -> datetime | None:
    """Kept while the dialog is open, so that what is confirmed is what was counted."""
    hours = _TIMES[time]
    if hours is None:
        return None
    now = st.session_state.setdefault(_NOW, datetime.now().astimezone())
    moment: datetime = now - timedelta(hours=hours)
    return moment


def _count(found: Plan) -> None:
    with st.container(border=True, gap="xsmall"):
        if found.is_empty:
            st.text(f"Nothing to replay: no delivery that fits is {STATE[found.state][0].lower()}.")
        else:
            st.markdown(f"**{_number(found.count, found.more)}**")
            if found.count:
                st.text(_ages(found))
        for line in found.warnings():
            st.markdown(f":orange[:material/warning:] {escaped(line)}")
        for share in found.shares:
            st.text(f"{share.connection}: {counted(share.count, share.more)}{_takes(share.seconds)}")
        off = [share.connection for share in found.shares if not share.is_active and share.count]
        if off:
            st.text(f"{', '.join(off)}: paused. Switch it on to send them.")


def _number(count: int, more: bool = False) -> str:
    return "1 delivery" if count == 1 and not more else f"{counted(count, more)} deliveries"


def _ages(found: Plan) -> str:
    assert found.oldest_at is not None
    assert found.newest_at is not None
    return f"Queued from {ago(found.oldest_at, found.at)} to {ago(found.newest_at, found.at)}."


def _takes(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f", {'under a minute' if seconds < 60 else f'about {duration(seconds)}'} at the tool's rate"


def _begun(begun: tuple[Progress, ...]) -> str:
    queued = sum(progress.queued for progress in begun)
    left = sum(progress.left for progress in begun)
    rest = f" {left:,} follow as there is room." if left else ""
    return f"{_number(queued)} {'is' if queued == 1 else 'are'} back in the queue.{rest}"


def progress(who: Principal) -> None:
    """What is still being replayed; nothing when all is done."""
    if replays.unfinished(who):
        _progress()


@st.fragment(run_every=REFRESH_S)
@guarded()
def _progress() -> None:
    who = watching_user()
    running = replays.unfinished(who)
    if not running:
        st.rerun()
    for found in running[:SHOWN]:
        _bar(who, found)
    if len(running) > SHOWN:
        st.caption(f"And {len(running) - SHOWN} more replays.")


def _bar(who: Principal, found: Progress) -> None:
    is_paused = found.state == ReplayState.PAUSED
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
        st.progress(_share(found), text=escaped(_sentence(found)), width="stretch")
        if not who.is_viewer:
            label, icon = ("Resume", "play_arrow") if is_paused else ("Pause", "pause")
            st.button(
                label,
                icon=f":material/{icon}:",
                key=f"replay_turn_{found.id}",
                on_click=_turn,
                args=(found.id, is_paused),
            )


def _share(found: Progress) -> float:
    return 1 - found.left / found.total if found.total else 1.0


def _sentence(found: Progress) -> str:
    done = f"{found.connection}: {found.queued:,} of {found.total:,} are back in the queue"
    if found.state == ReplayState.PAUSED:
        return f"{done}; paused, the rest stays as it was."
    if not found.is_active:
        return f"{done}; the connection is paused. Switch it on to go on."
    return f"{done}; the rest follows as there is room."


@acting
def _turn(who: Principal, id: int, is_paused: bool) -> None:
    with doing():
        replays.resume(who, id) if is_paused else replays.pause(who, id)
