"""What a state, and a lost answer, mean in words: told once, so page, API, terminal and documentation say the same."""

from typing import get_args, get_type_hints

import pytest

from core.delivery.history.states import StateFacts, sentence
from core.integrations import Manifest
from core.integrations.in_doubt import AFTER_A_LOST_ANSWER, WHEN_SENT_AGAIN
from core.storage.models import State


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (StateFacts(State.PENDING, ""), "It waits for its turn: with the next sync."),
        (
            StateFacts(State.PENDING, "Splunk was busy.", due="now"),
            "It waits for its turn: now. Splunk was busy.",
        ),
        (StateFacts(State.PENDING, "Paused.", holding="Enable it."), "Waits. Enable it."),
        (StateFacts(State.PENDING, "One of 22.", digest="in a digest"), "One of 22. It is sent in a digest."),
        (StateFacts(State.SENDING, ""), "It is being sent right now."),
        (
            StateFacts(State.RETRYING, "Splunk answered 503.", due="in 5 min"),
            "It did not arrive. Splunk answered 503. The next attempt is due in 5 min.",
        ),
        (
            StateFacts(State.IN_DOUBT, "No answer.", due="in 1 min"),
            "It may have arrived. No answer. It is looked at again in 1 min.",
        ),
        (
            StateFacts(State.DELIVERED, "", vendor_id="SEC-1", delivered="3 min ago"),
            "Delivered 3 min ago as SEC-1.",
        ),
        (
            StateFacts(State.DELIVERED, "Maybe twice.", delivered="at 10:00", digest="in a digest"),
            "Delivered at 10:00 in a digest. Maybe twice.",
        ),
        (StateFacts(State.DEAD, "Refused."), "It is not tried again. Refused."),
        (StateFacts(State.HELD, "60 at once."), "It waits for a person. 60 at once."),
        (StateFacts(State.SKIPPED, "Not wanted."), "It was not sent. Not wanted."),
    ],
)
def test_a_state_is_a_sentence(of: StateFacts, told: str) -> None:
    assert sentence(of) == told


def test_every_state_has_one() -> None:
    assert len({sentence(StateFacts(state, "")) for state in State}) == len(State)


def test_every_policy_has_its_words() -> None:
    policies = set(get_args(get_type_hints(Manifest)["in_doubt"]))
    assert policies
    assert policies == AFTER_A_LOST_ANSWER.keys() == WHEN_SENT_AGAIN.keys()
