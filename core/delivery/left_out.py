"""What a connection leaves out, and why: of the newest records of its kind, counted by cause."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session

from core import records
from core.delivery import runs
from core.delivery.filters import Cause, Filter
from core.integrations import Manifest, mapping
from core.integrations.options import Options
from core.storage.models import Connection, Kind

#: the newest records that are looked at
LOOKED = 1_000
_SCOPE = ("belongs to somebody else (scope is mine)", "belong to other people (scope is mine)")
_PLAIN = {
    Cause.STATUS: ("is not {status}", "are not {status}"),
    Cause.THRESHOLD: ("has fewer than {threshold} high risks", "have fewer than {threshold} high risks"),
    Cause.SEVERITY: ("is below {severity}", "are below {severity}"),
    Cause.START: ("became wanted before {start}", "became wanted before {start}"),
    Cause.EVENT: ("is of another event", "are of other events"),
    Cause.SCOPE: _SCOPE,
}


@dataclass(frozen=True)
class LeftOutCount:
    """`looked` records were judged: all there are, or the newest LOOKED. `causes`: each with how many it keeps back."""

    kind: Kind
    looked: int
    is_all: bool
    causes: Mapping[Cause, int]
    options: Options

    @property
    def total(self) -> int:
        return sum(self.causes.values())

    @property
    def others(self) -> int:
        return self.causes.get(Cause.SCOPE, 0)

    @property
    def sentence(self) -> str:
        """One sentence with every cause; empty when nothing is left out."""
        if not self.total:
            return ""
        noun = self.kind if self.looked == 1 else f"{self.kind}s"
        among = f"Of {'' if self.is_all else 'the newest '}{self.looked:,} {noun}"
        are = "is" if self.total == 1 else "are"
        parts = [f"{number:,} {self._said(cause, number)}" for cause, number in self.causes.items() if number]
        hint = " Set scope=all to send everybody's." if self.others else ""
        return f"{among}, {self.total:,} {are} left out: {', '.join(parts)}.{hint}"

    def _said(self, cause: Cause, number: int) -> str:
        status = mapping.DUE_STATUS.get(self.kind, "open and unread")
        return _PLAIN[cause][number != 1].format(
            status=status,
            threshold=self.options.high_risk_threshold,
            severity=self.options.min_severity,
            start=self.options.start_from[:10],
        )


def count(session: Session, connection: Connection, manifest: Manifest, *, everybodys: bool) -> LeftOutCount:
    """Judge the newest records: everybody's, or the owner's alone for whoever may not know of others."""
    kind, (chosen, _) = manifest.kind, runs.options_of(connection, manifest)
    wants = Filter.of(connection, kind, chosen)
    owner_id = None if everybodys else connection.user_id
    found = records.latest(session, kind, owner_id=owner_id, limit=LOOKED, is_whole=False)
    causes = Counter(why.cause for record in found if (why := wants.left_out(record)) is not None)
    ordered = {cause: causes[cause] for cause in Cause if causes[cause]}
    return LeftOutCount(kind, len(found), len(found) < LOOKED, ordered, chosen)
