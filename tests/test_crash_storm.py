"""A storm through kills: every alert is delivered, by itself or in a digest that arrived, and none twice in both."""

import os
from collections import Counter

import pytest

from tests.crash_harness import Harness
from tests.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = pytest.mark.crash


class Stormy(Harness):
    """Alerts alone, more than the limit in every turn."""

    def storm(self, *, kills: int, records: int) -> None:
        self.records = {"slack": []}
        self.workplace.connect("slack", drain=True, batch_limit=50, every="10s", storm="5/5m")
        self.workplace.sandbox.fault("slack", "lost_answer", share=0.3, seed=self.seed)
        for _ in range(kills):
            self.records["slack"] += self.workplace.alerts(records)
            self._kill(self._start(), self.random.uniform(0.3, 0.8))
            self._rest()
        self.workplace.sandbox.clear_faults()
        self._settle()

    def _settle(self) -> None:
        for _ in range(12):
            super()._settle()
            if "pending" not in self.workplace.states("slack"):
                return


def test_ten_kills_in_a_storm_lose_no_alert(workplace: Workplace) -> None:
    environment = {name: value for name, value in os.environ.items() if name.startswith("HUB_")}
    stormy = Stormy(workplace, environment)
    stormy.storm(kills=10, records=12)
    rows = workplace.deliveries("slack")
    alerts = [row for row in rows if row.record_kind == "alert"]
    digests = {row.id: row for row in rows if row.record_kind == "digest"}
    came = Counter(accepted.key for accepted in workplace.sandbox.accepted("slack"))
    assert Counter(row.state for row in alerts) == {"delivered": 120}
    carriers = [digests[row.digest_id] if row.digest_id else row for row in alerts]
    assert [row.key for row in carriers if not came[row.key]] == []
    alone = {row.key for row in alerts if row.digest_id and came[row.key]}
    assert alone == set(), "sent by itself and in a digest"
    for row in {row.key: row for row in carriers}.values():
        assert came[row.key] <= row.attempt_count
    assert len(digests) >= 5, "vacuous: no storm"
    assert len(stormy.report.in_doubt) >= 3, "vacuous: too little was in doubt"
