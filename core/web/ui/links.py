"""Links inside HTML: they switch the page inside the app. Without the script they are links as any other."""

import streamlit as st

#: A click on a link that `st.html` drew would load the whole app anew (1.3 s). Streamlit 1.67 draws another page when
#: the browser goes back or forth, so that is what it is told. In a table of class `hub-rows` the whole row is its
#: first link, unless somebody selects text in it. What opens another tab is left to the browser.
_SCRIPT = """
export default function () {
  const linkOf = (target) => {
    const link = target.closest(".stHtml a[href]");
    if (link || String(window.getSelection())) return link;
    return target.closest(".stHtml .hub-rows tr")?.querySelector("a[href]");
  };
  const follow = (event) => {
    if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = linkOf(event.target);
    if (!link || link.origin !== location.origin || link.pathname.startsWith("/auth/")) return;
    event.preventDefault();
    history.pushState({}, "", link.href);
    window.dispatchEvent(new PopStateEvent("popstate"));
  };
  document.removeEventListener("click", document.hubFollow);
  document.hubFollow = follow;
  document.addEventListener("click", follow);
  return () => document.removeEventListener("click", follow);
}
"""


def follow() -> None:
    """Once per page, wherever there is room for an element without a size."""
    st.components.v2.component("hub_links", js=_SCRIPT)(key="links")
