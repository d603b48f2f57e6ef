"""Record: where the links in tickets, events and messages lead; what one scan, case or alert became."""

import streamlit as st

from core.access import Principal
from core.delivery import history
from core.delivery.history.views import RecordStory
from core.web import ui
from core.web.ui import words
from core.web.ui.theme import Color

COLORS: dict[str, Color] = {
    "delivered": "green",
    "dead": "red",
    "in_doubt": "orange",
    "retrying": "orange",
    "held": "orange",
}


def page(who: Principal) -> None:
    st.header("Record", anchor=False)
    kind, wanted = asked()
    if wanted:
        with ui.guarded():
            story = history.explain(who, kind, wanted)
            heading(story)
            connections(story)


def heading(story: RecordStory) -> None:
    with st.container(border=True, gap="xxsmall"):
        st.text(story.title)
        st.caption(
            f"{story.kind.capitalize()} · {story.severity} · received {words.exact(story.received_at)}"
            f" · revision {story.revision}"
        )
        st.text(f"Id {story.id}")


def asked() -> tuple[str, str]:
    """Kind and id from the address, or from the form."""
    kind, found = st.query_params.get("kind", "scan"), st.query_params.get("id", "")
    if kind and found:
        return kind, found
    with st.form("record", border=True):
        st.text("Which record? Give its kind and its id in FootprintIQ.")
        chosen = st.selectbox("Kind", ["scan", "case", "alert"])
        wanted = st.text_input("Id")
        if st.form_submit_button("Show", type="primary"):
            return chosen, wanted.strip()
    return "", ""


def connections(story: RecordStory) -> None:
    rows = story.connections
    st.subheader("Where it went", anchor=False)
    if not rows:
        st.text("No connection takes this kind of record yet. Connect one from the catalog.")
        st.page_link("pages/catalog.py", label="Open the catalog", icon=":material/apps:")
    for row in rows:
        with st.container(border=True, gap="xxsmall"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                name, query = f":blue[{ui.escaped(row.connection)}]", {"id": row.connection_id}
                st.page_link("pages/connection.py", label=name, query_params=query, width="stretch")
                st.badge(ui.escaped(row.state.replace("_", " ")), color=COLORS.get(row.state, "gray"))
            st.text(row.sentence)  # as written: a vendor's words are not Markdown


page(ui.require_user())
