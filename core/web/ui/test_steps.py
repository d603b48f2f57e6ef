"""A staged connection test as it is watched: each stage with its mark and a plain sentence."""

from collections.abc import Iterable, Sequence
from typing import Literal

import streamlit as st

from core.integrations.base import Step
from core.web.ui.markup import escaped

#: passed, failed, could not be proven without a side effect; what works with a warning has a mark of its own
_MARK = {
    True: ":green[:material/check_circle:]",
    False: ":red[:material/cancel:]",
    None: ":gray[:material/help:]",
}
_WARNING = ":orange[:material/warning:]"
_STAGE = {
    "network": "Network",
    "tls": "Encryption",
    "credentials": "Credentials",
    "target": "Target",
    "permission": "Permission",
    "answer": "Answer",
}


def is_well(steps: Sequence[Step]) -> bool:
    return bool(steps) and all(step.ok is not False for step in steps)


def watch(vendor: str, stages: Iterable[Step]) -> list[Step]:
    """Draw the stages as they come; returns them."""
    steps: list[Step] = []
    with st.status(f"Asking {escaped(vendor)}…", expanded=True) as status:
        for step in stages:
            steps.append(step)
            _stage(step)
        status.update(label=_verdict(vendor, steps), state=_state(steps), expanded=True)
    return steps


def show(vendor: str, steps: Sequence[Step]) -> None:
    """The same picture of a test that is over."""
    with st.status(_verdict(vendor, steps), state=_state(steps), expanded=True):
        for step in steps:
            _stage(step)


def _stage(step: Step) -> None:
    name, text = st.columns([3, 10], gap="small", wrap=False)
    name.markdown(
        f"{_WARNING if step.warning else _MARK[step.ok]} {_STAGE.get(step.name, escaped(step.name))}"
    )
    text.text(step.text, wrap=True)


def _verdict(vendor: str, steps: Sequence[Step]) -> str:
    if is_well(steps):
        return f"{escaped(vendor)} works with these settings"
    return f"{escaped(vendor)} does not work with these settings yet"


def _state(steps: Sequence[Step]) -> Literal["complete", "error"]:
    return "complete" if is_well(steps) else "error"
