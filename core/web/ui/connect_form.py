"""The form that makes or changes a connection: fill in, test, choose, look at the first requests, save.

Each step draws itself and returns what it came to; `Draft.key` parts the widgets of one draft from someone else's.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import streamlit as st

from core import connections, integrations
from core.access import Principal
from core.integrations import Manifest
from core.integrations.base import Step
from core.platform.errors import Invalid, NameTaken
from core.web import pools
from core.web.ui import choices, requests, test_steps, unsaved
from core.web.ui.errors import flash, guarded
from core.web.ui.forms import Form, wrong
from core.web.ui.markup import muted
from core.web.ui.unsaved import Unsaved

NAME = "name"  # of the connection; no tool has a field of that name


@dataclass(frozen=True)
class Draft:
    """What is being made, or changed where there is a `view`, and by whom."""

    who: Principal
    manifest: Manifest
    form: str
    view: connections.ConnectionView | None = None
    only_secrets: bool = False

    @property
    def ref(self) -> str | None:
        return self.view.id if self.view else None

    @property
    def key(self) -> str:
        """Parts its widgets from those of other forms, and from its own before somebody started again."""
        begun = st.session_state.get(_begun(self.form), 0)
        return f"{self.form}_{begun}" if begun else self.form

    @property
    def entered(self) -> Unsaved:
        return unsaved.of_form(self.who, self.form)


@dataclass(frozen=True)
class Trial:
    """What the test said, and about which values; only their hash, for there are secrets among them."""

    values_hash: int
    steps: tuple[Step, ...]

    @property
    def is_well(self) -> bool:
        return test_steps.is_well(self.steps)


@dataclass(frozen=True)
class Choice:
    """Of the third step; the default leaves an edited connection as it is."""

    name: str | None = None
    options: Mapping[str, Any] | None = None
    shared: bool | None = None


def asked_for(who: Principal) -> Draft | None:
    """The draft that the address names."""
    ref, slug = st.query_params.get("edit"), st.query_params.get("entry", "")
    if ref:
        view = connections.find(who, ref)
        only_secrets = st.query_params.get("only") == "secrets"
        return Draft(who, integrations.get(view.slug), f"edit_{view.id}", view, only_secrets)
    return Draft(who, integrations.get(slug), f"new_{slug}") if slug in connections.offered() else None


def start_again(draft: Draft) -> None:
    """Draw the button that takes back what was entered; always, so that nothing moves when there is something."""
    entered = draft.entered
    if entered.is_back:
        muted("What you had entered is here again, without its secrets: enter those once more.", "content")
    st.button(
        "Take the changes back" if draft.view else "Start again",
        type="tertiary",
        icon=":material/undo:",
        key="start_again",
        on_click=_start,
        args=(draft,),
        disabled=not (entered or entered.is_back),
    )


def _start(draft: Draft) -> None:
    """From the beginning: other widgets, another test, another secret that the hub makes."""
    _forget(draft, "trial", "problems", "made")
    draft.entered.clear()
    st.session_state[_begun(draft.form)] = st.session_state.get(_begun(draft.form), 0) + 1


def _begun(form: str) -> str:
    return f"begun_{form}"


# --- 1. address and credentials -----------------------------------------------------------------------


def fill_in(draft: Draft) -> dict[str, Any]:
    """The values of the fields, and the secrets that the hub made."""
    title = "New credentials" if draft.only_secrets else "Address and credentials"
    st.subheader(f"1. {title}", anchor=False)
    saved = draft.view.config if draft.view else {}
    form = Form(draft.manifest, draft.key, saved, _problems(draft), draft.only_secrets, draft.entered)
    values = form.draw()
    return values if draft.view else values | _make_secrets(draft, values)


def _make_secrets(draft: Draft, values: dict[str, Any]) -> dict[str, str]:
    """Those the hub makes when a field is left empty: shown here, and after this page never again."""
    kept = st.session_state.setdefault(f"{draft.key}_made", {})
    made = {
        name: kept.setdefault(name, new)
        for name, new in integrations.generated(draft.manifest, values).items()
    }
    for name, secret in made.items():
        title = str(draft.manifest.config["properties"][name]["title"]).lower()
        muted(f"The hub made this {title} for the receiver. Copy it now: it is not shown again.")
        st.code(secret, language=None)
    return made


@contextmanager
def _correcting(draft: Draft) -> Iterator[None]:
    """Around a verb that checks the fields: what is wrong is said below each field, on the page drawn again."""
    st.session_state.pop(f"{draft.key}_problems", None)
    try:
        yield
    except NameTaken as error:
        _mark(draft, {NAME: error.message})
    except Invalid as error:
        if not set(error.fields) & {NAME, *draft.manifest.config["properties"]}:
            raise
        _mark(draft, error.fields)


def _mark(draft: Draft, problems: Mapping[str, str]) -> None:
    if set(problems) != {NAME}:
        _forget(draft, "trial")
    st.session_state[f"{draft.key}_problems"] = problems
    st.rerun()


def _problems(draft: Draft) -> Mapping[str, str]:
    """Each wrong field with its sentence, until the next try."""
    found: Mapping[str, str] = st.session_state.get(f"{draft.key}_problems", {})
    return found


def _forget(draft: Draft, *names: str) -> None:
    for name in names:
        st.session_state.pop(f"{draft.key}_{name}", None)


# --- 2. test ------------------------------------------------------------------------------------------


def test(draft: Draft, values: dict[str, Any]) -> Trial | None:
    """The test's button and its answer, if that is about these very values."""
    known: Trial | None = st.session_state.get(f"{draft.key}_trial")
    current = known if known and known.values_hash == _hashed(values) else None
    st.subheader("2. Test", anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        is_well = current is not None and current.is_well
        pressed = st.button(
            "Test again" if is_well else "Test",
            type="secondary" if is_well else "primary",
            icon=":material/network_check:",
            key="test",
        )
        said = "The fields have changed since the last test." if known and not current else ""
        muted(said or "Asks the tool in stages. Nothing is created or sent there.")
    if pressed:
        _run_test(draft, values)
    elif current:
        test_steps.show(draft.manifest.name, current.steps)
    return current


def _run_test(draft: Draft, values: dict[str, Any]) -> None:
    with _correcting(draft), pools.TESTS.held(draft.who.user_id):
        stages = connections.stages_draft(draft.who, draft.manifest.slug, values, draft.ref)
        steps = test_steps.watch(draft.manifest.name, stages)
    st.session_state[f"{draft.key}_trial"] = Trial(_hashed(values), tuple(steps))
    st.rerun()


def _hashed(values: Mapping[str, Any]) -> int:
    return hash(orjson.dumps(dict(values), option=orjson.OPT_SORT_KEYS))


# --- 3. what and how often ----------------------------------------------------------------------------


def choose(draft: Draft, values: Mapping[str, Any]) -> Choice:
    """Its name, its options, and how many records they come to."""
    st.subheader("3. What and how often", anchor=False)
    view, manifest = draft.view, draft.manifest
    name = _name(draft)
    with st.container(gap="small"):
        chosen = choices.draw(draft.who, manifest, draft.key, view.options if view else {}, draft.entered)
    shared = _shared(draft, saved=bool(view and view.shared))
    with guarded():
        requests.matching(draft.who, manifest, chosen, draft.ref, values)
    return Choice(name, chosen, shared)


def _name(draft: Draft) -> str:
    saved, entered = draft.view.name if draft.view else _free_name(draft), draft.entered.other
    name: str = st.text_input("Name", entered.get("name", saved), key=f"{draft.key}_name", live="500ms")
    unsaved.note(entered, "name", name, saved)
    if NAME in _problems(draft):
        wrong(_problems(draft)[NAME])
    return name


def _shared(draft: Draft, *, saved: bool) -> bool:
    entered = draft.entered.other
    shared = st.toggle(
        "Everybody on this hub may look at it",
        entered.get("shared", saved),
        key=f"{draft.key}_shared",
        help="Only its owner and admins may change it.",
    )
    unsaved.note(entered, "shared", shared, saved)
    return shared


def _free_name(draft: Draft) -> str:
    """The tool's name, with a number when that is taken."""
    tool = draft.manifest.name
    taken = {line.name for line in connections.board(draft.who).lines}
    names = [tool, *(f"{tool} {number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


# --- 4. the first requests ----------------------------------------------------------------------------


def look(draft: Draft, values: dict[str, Any], chosen: Mapping[str, Any], current: Trial | None) -> None:
    """What would be sent first, once the test has an answer."""
    st.subheader("4. The first requests", anchor=False)
    if current is None:
        muted("After the test, the first requests are shown here exactly as they would be sent.")
        return
    muted("Exactly as they would be sent, but for the credentials. Nothing has been sent yet.")
    with guarded(), pools.PREVIEWS.held(draft.who.user_id):
        slug, shown = draft.manifest.slug, f"{draft.key}_shown"
        again = st.session_state.get(shown) == current.values_hash  # the form is drawn anew at every choice
        found = connections.preview_draft(
            draft.who, slug, values, chosen, ref=draft.ref, is_drawn_again=again
        )
        st.session_state[shown] = current.values_hash
        requests.show_requests(draft.manifest, found)


# --- save ---------------------------------------------------------------------------------------------


def save(draft: Draft, values: dict[str, Any], choice: Choice, current: Trial | None) -> None:
    """The button, which says what it does without a test that went well; then on to the list."""
    is_well = current is not None and current.is_well
    verb = "Save changes" if draft.view else "Connect"
    label = verb if is_well else f"{verb} anyway" if current else f"{verb} without a test"
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            label, type="primary" if is_well else "secondary", icon=":material/check:", key="save"
        )
        if _problems(draft):
            muted("Correct what is marked above.")
        elif current and not is_well:
            muted("It will wait under “Needs you”, and lose nothing, until the test passes.")
    if pressed:
        with guarded(), _correcting(draft):
            said = _write(draft, values, choice)
            _start(draft)
            flash(said)
            st.switch_page("pages/connections.py")


def _write(draft: Draft, values: dict[str, Any], choice: Choice) -> str:
    if draft.view is not None:
        connections.edit(
            draft.who,
            draft.view.id,
            name=choice.name,
            values=values,
            options=choice.options,
            shared=choice.shared,
        )
        return f"{choice.name or draft.view.name} is saved and syncs again."
    connections.create(
        draft.who,
        draft.manifest.slug,
        name=choice.name or "",
        values=values,
        options=choice.options or {},
        shared=bool(choice.shared),
    )
    return f"{choice.name} is connected. Its first sync begins within seconds."
