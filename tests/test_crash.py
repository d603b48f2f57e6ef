"""Nothing is lost and no ticket is made twice, whenever the scheduler dies; and the test can see it if it were."""

import os

import pytest

from core.models import Connection
from tests.crash_harness import Harness
from tests.workplace import Workplace, sandbox, workplace

__all__ = ["Connection", "sandbox", "workplace"]

pytestmark = pytest.mark.crash


def harness(workplace: Workplace, mutant: str = "none") -> Harness:
    environment = {name: value for name, value in os.environ.items() if name.startswith("HUB_")}
    return Harness(workplace, environment, mutant)


def test_twenty_kills_lose_nothing_and_double_no_ticket(workplace: Workplace) -> None:
    report = harness(workplace).run(kills=20, stops=3, records=5)
    print(report)
    assert report.broken == []
    assert report.delivered >= 200, "vacuous: too little was delivered"
    assert len(report.in_doubt) >= 10, "vacuous: too little was in doubt"
    assert (report.kills, report.stops) == (20, 3)


@pytest.mark.parametrize("mutant", ["no fence", "no look-up"])
def test_the_harness_sees_a_missing(workplace: Workplace, mutant: str) -> None:
    report = harness(workplace, mutant).run(kills=4, stops=3, records=5)
    assert [line for line in report.broken if line.startswith("jira")] != []
