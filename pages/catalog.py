"""Catalog: what can be connected, and what each tool needs and gets."""

from collections import Counter

import streamlit as st

from core import connections, integrations
from core.access import Principal
from core.integrations import Manifest
from core.storage.models import Category
from core.web import ui
from core.web.ui import entry
from core.web.ui.markup import escaped

CARD_PX, CARD_MIN_PX = 208, 300


def page(who: Principal) -> None:
    times, offered = connections.count_by_slug(who), connections.offered()
    asked = st.query_params.get("entry")
    if asked in offered:
        details(who, offered[asked], times[asked])
    elif asked:
        unknown(asked)
    else:
        shown = found(offered, *filters())
        for sentence in integrations.disabled().values():
            st.warning(escaped(sentence), icon=":material/warning:")
        gallery(who, shown, times)
        if not shown:
            st.text("No tool matches. Clear the search or choose another category.")


def filters() -> tuple[str, Category | None]:
    """Search words and category; both in the address."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header("Catalog", anchor=False, width="stretch")
        words = st.text_input(
            "Search",
            key="q",
            type="search",
            placeholder="Search tools",
            label_visibility="collapsed",
            live=True,
            bind="query-params",
            width=240,
        )
        named = {category: entry.CATEGORY[category][0] for category in Category}
        picked = ui.segments_filter("Category", "All tools", named, key="tools")
    ui.say_unknown()
    return words or "", picked


def found(offered: dict[str, Manifest], words: str, category: Category | None) -> list[Manifest]:
    return [
        manifest
        for manifest in offered.values()
        if category in (None, manifest.category) and matches(manifest, words)
    ]


def matches(manifest: Manifest, words: str) -> bool:
    label = entry.CATEGORY[manifest.category][0]
    text = f"{manifest.name} {manifest.provider} {manifest.summary} {label}".lower()
    return all(word in text for word in words.lower().split())


def gallery(who: Principal, shown: list[Manifest], connected: Counter[str]) -> None:
    for category, (label, _, explained) in entry.CATEGORY.items():
        tools = [manifest for manifest in shown if manifest.category is category]
        if not tools:
            continue
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            st.subheader(label, anchor=False, width="content")
            ui.muted(explained, width="content")
        with st.grid("auto", min_column_width=CARD_MIN_PX, gap="small"):
            for manifest in tools:
                card(who, manifest, connected[manifest.slug])


def card(who: Principal, manifest: Manifest, times: int) -> None:
    with st.container(border=True, height=CARD_PX, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.subheader(f":material/{manifest.icon}: {manifest.name}", anchor=False, width="stretch")
            connected_badge(times)
        ui.muted(f"{manifest.provider} · {entry.TIER[manifest.tier][0]}")
        st.text(manifest.summary)
        st.space("stretch")
        with st.container(horizontal=True, gap="small"):
            if not who.is_viewer and st.button(
                "Connect", key=f"connect_{manifest.slug}", icon=":material/add:"
            ):
                st.switch_page("pages/connect.py", query_params={"entry": manifest.slug})
            if st.button("Details", key=f"details_{manifest.slug}", type="tertiary"):
                st.switch_page("pages/catalog.py", query_params={"entry": manifest.slug})


def connected_badge(times: int) -> None:
    if times:
        st.badge("Connected" if times == 1 else f"Connected ×{times}", color="green", icon=":material/check:")


def details(who: Principal, manifest: Manifest, times: int) -> None:
    label = entry.CATEGORY[manifest.category][0]
    with st.container(gap="xxsmall"):
        if st.button("Catalog", type="tertiary", icon=":material/arrow_back:", key="back"):
            st.switch_page("pages/catalog.py")
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.header(f":material/{manifest.icon}: {manifest.name}", anchor=False, width="stretch")
            connected_badge(times)
            if not who.is_viewer and st.button(
                "Connect", type="primary", key="connect", icon=":material/add:"
            ):
                st.switch_page("pages/connect.py", query_params={"entry": manifest.slug})
        ui.muted(f"{label} · {manifest.provider} · {manifest.summary}")
    left, right = st.columns([5, 3], gap="medium")
    with left:
        with st.container(border=True):
            entry.sent(manifest)
        with st.container(border=True):
            entry.good_to_know(manifest)
    with right, st.container(border=True):
        entry.guide(manifest)


def unknown(slug: str) -> None:
    st.header("Catalog", anchor=False)
    st.text(connections.why_off(slug) or f'The catalog has no "{slug[:60]}".')
    if st.button("See all tools", icon=":material/arrow_back:", key="back"):
        st.switch_page("pages/catalog.py")


page(ui.require_user())
