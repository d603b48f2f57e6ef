"""One entry of the catalog in words: how to set it up, what is sent, what happens when it fails."""

import streamlit as st

from core.integrations import Manifest, own_mapping
from core.integrations.example import facts
from core.integrations.in_doubt import AFTER_A_LOST_ANSWER
from core.storage.models import Category
from core.web.ui.markup import muted
from core.web.ui.requests import pretty

CATEGORY = {
    Category.SIEM: ("SIEM", "shield", "High-risk scans become events"),
    Category.TICKETING: ("Ticketing", "confirmation_number", "Open cases become tickets"),
    Category.COMMUNICATION: ("Communication", "chat", "Unread alerts become messages"),
}
TIER = {
    "verified": ("Verified", "Tried on a live account."),
    "documented": ("Documented", "Built from the vendor's documentation and tried on a local stand-in."),
}
#: a link inside a sentence is known by more than its colour (WCAG 1.4.1)
_UNDERLINED = "<style>.st-key-guide li a {text-decoration: underline}</style>"


def guide(manifest: Manifest) -> None:
    """What a stranger needs while filling in the form."""
    with st.container(key="guide"):
        st.html(_UNDERLINED)
        _guide(manifest)


def _guide(manifest: Manifest) -> None:
    st.subheader("How to set it up", anchor=False)
    st.markdown("\n".join(f"{number}. {step}" for number, step in enumerate(manifest.setup, 1)))
    st.subheader("What it must be allowed", anchor=False)
    st.markdown("\n".join(f"- {line}" for line in manifest.permissions))
    st.link_button("The vendor's documentation", manifest.docs_url, icon=":material/open_in_new:")


def sent(manifest: Manifest) -> None:
    st.subheader("What is sent", anchor=False)
    st.markdown(manifest.description)
    muted("An example, as the hub maps it")
    st.code(example(manifest), language="json", wrap_lines=True)


def example(manifest: Manifest) -> str:
    """The mapped body of a made-up record."""
    return pretty(own_mapping.mapper(manifest, {}).body(facts(manifest.kind)))


def good_to_know(manifest: Manifest) -> None:
    """What it does when something fails, and where its ends are."""
    st.subheader("Good to know", anchor=False)
    lines = [
        f"**Delivered means:** {manifest.delivered_means}",
        f"**In doubt:** A record whose answer was lost may have arrived. {AFTER_A_LOST_ANSWER[manifest.in_doubt]}",
        f"**Cost:** {manifest.cost_note}",
        f"**{TIER[manifest.tier][0]}:** {TIER[manifest.tier][1]}",
    ]
    st.markdown("\n".join(f"- {line}" for line in lines))
    if manifest.known_limits:
        st.subheader("Known limits", anchor=False)
        st.markdown("\n".join(f"- {line}" for line in manifest.known_limits))
