"""Connect a tool, or change a connection: fill in, test, choose, look at the first requests, save."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import streamlit as st

from core import connections, integrations
from core.integrations import Manifest
from core.integrations.base import Step
from core.platform.errors import Invalid
from core.storage.models import Role
from core.web import ui
from core.web.ui import choices, entry, requests, test_steps
from core.web.ui.forms import Form


@dataclass(frozen=True)
class Draft:
    """What is being made, or changed where there is a `view`; `key` parts its widgets from another's."""

    manifest: Manifest
    key: str
    view: connections.View | None = None
    only_secrets: bool = False

    @property
    def ref(self) -> str | None:
        return self.view.id if self.view else None


@dataclass(frozen=True)
class Trial:
    """What the test said, and about which values; only their hash, for there are secrets among them."""

    values_hash: int
    steps: tuple[Step, ...]


def asked_for() -> Draft | None:
    """The draft that the address names."""
    ref, slug = st.query_params.get("edit"), st.query_params.get("entry", "")
    if ref:
        view = connections.find(who, ref)
        key = f"edit_{view.id}"
        return Draft(integrations.get(view.slug), key, view, st.query_params.get("only") == "secrets")
    return Draft(integrations.get(slug), f"new_{slug}") if slug in integrations.manifests() else None


def choose_first() -> None:
    st.header("Connect a tool", anchor=False)
    with st.container(border=True, horizontal_alignment="center", gap="small"):
        st.space("small")
        st.subheader("Which tool?", anchor=False, width="content")
        ui.muted("The catalog has every tool the hub can send to.", width="content")
        st.page_link("pages/catalog.py", label="Open the catalog", icon=":material/apps:")
        st.space("small")


def header(draft: Draft) -> None:
    icon, name = f":material/{draft.manifest.icon}:", draft.manifest.name
    back, title = "Catalog", f"Connect {name}"
    if draft.view is not None:
        doing = "New credentials for" if draft.only_secrets else "Edit"
        back, title = "Connections", f"{doing} {ui.escaped(draft.view.name)}"
    with st.container(gap="xxsmall"):
        if st.button(back, type="tertiary", icon=":material/arrow_back:", key="back"):
            st.switch_page(f"pages/{back.lower()}.py")
        st.header(f"{icon} {title}", anchor=False)


def fill_in(draft: Draft) -> dict[str, Any]:
    title = "New credentials" if draft.only_secrets else "Address and credentials"
    st.subheader(f"1. {title}", anchor=False)
    saved = draft.view.config if draft.view else {}
    problems = st.session_state.get(f"{draft.key}_problems", {})
    values = Form(draft.manifest, draft.key, saved, problems, draft.only_secrets).draw()
    return values if draft.view else values | make_secrets(draft, values)


def make_secrets(draft: Draft, values: dict[str, Any]) -> dict[str, str]:
    """Those the hub makes when a field is left empty: shown here, and after this page never again."""
    kept = st.session_state.setdefault(f"{draft.key}_made", {})
    made = {
        name: kept.setdefault(name, new)
        for name, new in integrations.generated(draft.manifest, values).items()
    }
    for name, secret in made.items():
        title = str(draft.manifest.config["properties"][name]["title"]).lower()
        ui.muted(f"The hub made this {title} for the receiver. Copy it now: it is not shown again.")
        st.code(secret, language=None)
    return made


def test(draft: Draft, values: dict[str, Any]) -> Trial | None:
    """The test's button and its answer, if that is about these very values."""
    known: Trial | None = st.session_state.get(f"{draft.key}_trial")
    current = known if known and known.values_hash == hashed(values) else None
    is_well = current is not None and test_steps.is_well(current.steps)
    st.subheader("2. Test", anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        label, kind = ("Test again", "secondary") if is_well else ("Test", "primary")
        pressed = st.button(label, type=kind, icon=":material/network_check:", key="test")
        said = "The fields have changed since the last test." if known and not current else ""
        ui.muted(said or "Asks the tool in stages. Nothing is created or sent there.")
    if pressed:
        run_test(draft, values)
    elif current:
        test_steps.show(draft.manifest.name, current.steps)
    return current


def run_test(draft: Draft, values: dict[str, Any]) -> None:
    with correcting(draft):
        stages = connections.stages_draft(who, draft.manifest.slug, values, draft.ref)
        steps = test_steps.watch(draft.manifest.name, stages)
    st.session_state[f"{draft.key}_trial"] = Trial(hashed(values), tuple(steps))
    st.rerun()


@contextmanager
def correcting(draft: Draft) -> Iterator[None]:
    """Around a verb that checks the fields: what is wrong is said below each field, on the page drawn anew."""
    st.session_state.pop(f"{draft.key}_problems", None)
    try:
        yield
    except Invalid as error:
        if not set(error.fields) & set(draft.manifest.config["properties"]):
            raise
        forget(draft)
        st.session_state[f"{draft.key}_problems"] = error.fields
        st.rerun()


@dataclass(frozen=True)
class Choice:
    """Of section 3; the default leaves an edited connection as it is."""

    name: str | None = None
    options: Mapping[str, Any] | None = None
    shared: bool | None = None


def choose(draft: Draft, values: Mapping[str, Any]) -> Choice:
    st.subheader("3. What and how often", anchor=False)
    view = draft.view
    name = st.text_input("Name", view.name if view else free_name(draft.manifest), key=f"{draft.key}_name")
    with st.container(gap="small"):
        chosen = choices.draw(who, draft.manifest, draft.key, view.options if view else {})
    shared = st.toggle(
        "Everybody on this hub may look at it",
        bool(view and view.shared),
        key=f"{draft.key}_shared",
        help="Only its owner and admins may change it.",
    )
    with ui.guarded():
        requests.matching(who, draft.manifest, chosen, draft.ref, values)
    return Choice(name, chosen, shared)


def free_name(manifest: Manifest) -> str:
    """The tool's name, with a number when that is taken."""
    taken = {line.name for line in connections.board(who).lines}
    names = [manifest.name, *(f"{manifest.name} {number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def look(draft: Draft, values: dict[str, Any], chosen: Mapping[str, Any], current: Trial | None) -> None:
    st.subheader("4. The first requests", anchor=False)
    if current is None:
        ui.muted("After the test, the first requests are shown here exactly as they would be sent.")
        return
    ui.muted("Exactly as they would be sent, but for the credentials. Nothing has been sent yet.")
    with ui.guarded():
        slug = draft.manifest.slug
        found = connections.preview_draft(who, slug, values, chosen, ref=draft.ref)
        requests.show_requests(draft.manifest, found)


def save(draft: Draft, values: dict[str, Any], choice: Choice, current: Trial | None) -> None:
    is_well = current is not None and test_steps.is_well(current.steps)
    verb = "Save changes" if draft.view else "Connect"
    label = verb if is_well else f"{verb} anyway" if current else f"{verb} without a test"
    with st.container(horizontal=True, vertical_alignment="center"):
        kind = "primary" if is_well else "secondary"
        pressed = st.button(label, type=kind, icon=":material/check:", key="save")
        if current and not is_well:
            ui.muted("It will wait under “Needs you”, and lose nothing, until the test passes.")
    if pressed:
        with ui.guarded(), correcting(draft):
            said = write(draft, values, choice)
            forget(draft)
            st.session_state.pop(f"{draft.key}_made", None)
            ui.flash(said)
            st.switch_page("pages/connections.py")


def write(draft: Draft, values: dict[str, Any], choice: Choice) -> str:
    if draft.view is not None:
        connections.edit(
            who,
            draft.view.id,
            name=choice.name,
            values=values,
            options=choice.options,
            shared=choice.shared,
        )
        return f"{choice.name or draft.view.name} is saved and syncs again."
    connections.create(
        who,
        draft.manifest.slug,
        name=choice.name or "",
        values=values,
        options=choice.options or {},
        shared=bool(choice.shared),
    )
    return f"{choice.name} is connected. Its first sync begins within seconds."


def forget(draft: Draft) -> None:
    for name in ("trial", "problems"):
        st.session_state.pop(f"{draft.key}_{name}", None)


def hashed(values: Mapping[str, Any]) -> int:
    return hash(orjson.dumps(dict(values), option=orjson.OPT_SORT_KEYS))


def page(draft: Draft) -> None:
    header(draft)
    form, beside = st.columns([5, 3], gap="medium")
    with beside, st.container(border=True):
        entry.guide(draft.manifest)
    with form:
        with st.container(border=True):
            values = fill_in(draft)
        with st.container(border=True):
            current = test(draft, values)
        choice = Choice()
        if not draft.only_secrets:
            with st.container(border=True):
                choice = choose(draft, values)
            with st.container(border=True):
                look(draft, values, choice.options or {}, current)
        save(draft, values, choice, current)


who = ui.require_user()
draft = asked_for()
if draft is None:
    choose_first()
elif who.role == Role.VIEWER:
    st.header("Connect a tool", anchor=False)
    st.text("You may look, but not connect anything. Ask an admin for the role member.")
else:
    page(draft)
