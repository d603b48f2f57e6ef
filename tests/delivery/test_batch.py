"""Exactly one receipt per item, whatever the connector does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil, log2
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.delivery.batch import MAX_BAD, BatchDelivery, LeaseLost
from core.http.errors import (
    Contested,
    DeliveryError,
    InDoubt,
    Misconfigured,
    NotTried,
    Rejected,
    Throttled,
    TooLarge,
    Unavailable,
)
from core.integrations.base import Connector, Item, Receipt, Step

Act = Callable[[Sequence[Item]], Iterator[Receipt]]


class Scripted(Connector):
    """A connector that does what the test says; `calls` are the batches it was given."""

    Config = dict

    def __init__(self, act: Act) -> None:
        self.act = act
        self.calls: list[list[str]] = []

    def check(self) -> Iterator[Step]:
        return iter(())

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        self.calls.append([item.key for item in items])
        return self.act(items)


def items(count: int) -> list[Item]:
    return [Item(f"k{n}", "{}") for n in range(count)]


def settled(act: Act, count: int) -> tuple[dict[str, str], BatchDelivery, Scripted]:
    """What became of each item in one word, and how."""
    scripted = Scripted(act)
    settlement = BatchDelivery(scripted, items(count))
    receipts = list(settlement)
    assert len({r.key for r in receipts}) == len(receipts) == count
    return {r.key: word(r.fault) for r in receipts}, settlement, scripted


def word(fault: DeliveryError | None) -> str:
    return "delivered" if fault is None else type(fault).__name__


def all_or_nothing(bad: set[str], kind: type[DeliveryError] = Rejected) -> Act:
    def act(batch: Sequence[Item]) -> Iterator[Receipt]:
        if any(item.key in bad for item in batch):
            raise kind("refused")
        yield from (Receipt(item.key) for item in batch)

    return act


def test_receipts_pass_in_the_order_they_come() -> None:
    words, settlement, _ = settled(lambda batch: (Receipt(item.key) for item in reversed(batch)), 3)
    assert list(words) == ["k2", "k1", "k0"]
    assert (settlement.bug, settlement.learned, settlement.surplus) == (None, None, 0)


def test_nothing_to_send_is_no_call() -> None:
    words, _, scripted = settled(all_or_nothing(set()), 0)
    assert (words, scripted.calls) == ({}, [])


@pytest.mark.parametrize("kind", [InDoubt, Unavailable, Throttled, Misconfigured, NotTried, Contested])
def test_a_raised_fault_settles_all_that_are_left(kind: type[DeliveryError]) -> None:
    def act(batch: Sequence[Item]) -> Iterator[Receipt]:
        yield Receipt("k0")
        raise kind("over")

    words, _, scripted = settled(act, 3)
    assert words == {"k0": "delivered", "k1": kind.__name__, "k2": kind.__name__}
    assert len(scripted.calls) == 1


def test_a_fault_raised_before_the_first_receipt_settles_all() -> None:
    def act(batch: Sequence[Item]) -> Iterator[Receipt]:
        raise Unavailable("down")

    assert set(settled(act, 2)[0].values()) == {"Unavailable"}


def test_silence_after_a_fault_means_not_tried_and_says_why() -> None:
    scripted = Scripted(lambda batch: iter([Receipt("k0", fault=InDoubt("Jira: no answer."))]))
    first, second = BatchDelivery(scripted, items(2))
    assert isinstance(first.fault, InDoubt)
    assert isinstance(second.fault, NotTried)
    assert "Jira: no answer." in second.fault.message


def test_an_early_end_means_not_tried() -> None:
    assert settled(lambda batch: iter([Receipt("k0")]), 3)[0]["k2"] == "NotTried"


def test_strange_receipts_are_dropped_and_leave_the_silent_ones_in_doubt() -> None:
    act = lambda batch: iter([Receipt("k0"), Receipt("k0"), Receipt("other")])  # noqa: E731
    words, settlement, _ = settled(act, 2)
    assert words == {"k0": "delivered", "k1": "InDoubt"}
    assert settlement.surplus == 2


def test_strange_receipts_do_no_harm_when_all_is_known() -> None:
    words, settlement, _ = settled(lambda batch: iter([Receipt("k0"), Receipt("x")]), 1)
    assert (words, settlement.surplus) == ({"k0": "delivered"}, 1)


@pytest.mark.parametrize("early", [True, False])
def test_a_bug_leaves_the_rest_in_doubt_and_is_kept_for_the_log(early: bool) -> None:
    def act(batch: Sequence[Item]) -> Iterator[Receipt]:
        if not early:
            yield Receipt("k0")
        raise KeyError("token=CANARY")

    scripted = Scripted(act)
    settlement = BatchDelivery(scripted, items(2))
    receipts = list(settlement)
    assert isinstance(settlement.bug, KeyError)
    assert [word(r.fault) for r in receipts] == ["InDoubt" if early else "delivered", "InDoubt"]
    assert all("CANARY" not in r.fault.message for r in receipts if r.fault)


def test_something_that_is_no_receipt_is_a_bug() -> None:
    words, settlement, _ = settled(lambda batch: iter(["k0"]), 1)  # type: ignore[list-item]
    assert words == {"k0": "InDoubt"}
    assert isinstance(settlement.bug, AttributeError)


@pytest.mark.parametrize("raised", [LeaseLost(), KeyboardInterrupt()])
def test_a_lost_lease_passes_through_untouched(raised: BaseException) -> None:
    def act(batch: Sequence[Item]) -> Iterator[Receipt]:
        yield Receipt("k0")
        raise raised

    settlement, seen = BatchDelivery(Scripted(act), items(3)), []
    with pytest.raises(type(raised)) as caught:
        seen.extend(receipt.key for receipt in settlement)
    assert caught.value is raised
    assert settlement.bug is None


@pytest.mark.parametrize("bad", range(8))
def test_halving_finds_the_one_bad_record(bad: int) -> None:
    words, _, scripted = settled(all_or_nothing({f"k{bad}"}), 8)
    assert words == {f"k{n}": "Rejected" if n == bad else "delivered" for n in range(8)}
    assert len(scripted.calls) == 7


def test_halving_keeps_the_order_of_the_items() -> None:
    sent = [call for call in settled(all_or_nothing({"k5"}), 8)[2].calls if "k5" not in call]
    assert [key for call in sent for key in call] == [f"k{n}" for n in range(8) if n != 5]


@given(st.integers(1, 200), st.data())
def test_a_bad_record_costs_few_calls(count: int, data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, count - 1))
    words, _, scripted = settled(all_or_nothing({f"k{bad}"}), count)
    assert list(words.values()).count("Rejected") == 1
    assert list(words.values()).count("delivered") == count - 1
    assert len(scripted.calls) <= 2 * ceil(log2(count)) + 1


def test_after_three_bad_records_the_rest_waits() -> None:
    words, _, scripted = settled(all_or_nothing({f"k{n}" for n in range(64)}), 64)
    counted = list(words.values())
    assert counted.count("Rejected") == MAX_BAD
    assert counted.count("NotTried") == 64 - MAX_BAD
    assert len(scripted.calls) <= MAX_BAD * (2 * 6 + 1)


def test_a_vendor_that_goes_down_while_halving_is_not_called_again() -> None:
    def act(batch: Sequence[Item]) -> Iterator[Receipt]:
        raise Rejected("bad") if len(batch) == 4 else Unavailable("down")
        yield

    words, _, scripted = settled(act, 4)
    assert words == {"k0": "Unavailable", "k1": "Unavailable", "k2": "NotTried", "k3": "NotTried"}
    assert len(scripted.calls) == 2


def test_only_what_has_no_receipt_is_halved() -> None:
    def act(batch: Sequence[Item]) -> Iterator[Receipt]:
        if batch[0].key == "k0":
            yield Receipt("k0")
            raise Rejected("bad")
        yield from (Receipt(item.key) for item in batch)

    words, _, scripted = settled(act, 3)
    assert set(words.values()) == {"delivered"}
    assert scripted.calls == [["k0", "k1", "k2"], ["k1"], ["k2"]]


def limited_to(size: int) -> Act:
    def act(batch: Sequence[Item]) -> Iterator[Receipt]:
        if len(batch) > size:
            raise TooLarge("413")
        yield from (Receipt(item.key) for item in batch)

    return act


def test_a_batch_that_is_too_large_is_halved_and_its_size_learned() -> None:
    words, settlement, scripted = settled(limited_to(3), 10)
    assert set(words.values()) == {"delivered"}
    assert settlement.learned == 3
    assert [len(call) for call in scripted.calls] == [10, 5, 3, 2, 5, 3, 2]


def test_nothing_is_learned_without_a_413() -> None:
    assert settled(all_or_nothing({"k1"}), 4)[1].learned is None


@pytest.mark.parametrize("raised", [True, False])
def test_a_single_item_that_is_too_large_is_rejected(raised: bool) -> None:
    def act(batch: Sequence[Item]) -> Iterator[Receipt]:
        if raised:
            raise TooLarge("413", status=413, body="too big")
        yield Receipt("k0", fault=TooLarge("413", status=413, body="too big"))

    (receipt,) = BatchDelivery(Scripted(act), items(1))
    assert type(receipt.fault) is Rejected
    assert (receipt.fault.status, receipt.fault.body) == (413, "too big")


@dataclass
class Chaos:
    """Draws what a connector does with a batch: receipts right and wrong, silence, faults and bugs."""

    data: st.DataObject
    kinds: list[type[BaseException]] = field(
        default_factory=lambda: [
            Rejected,
            TooLarge,
            Unavailable,
            Throttled,
            Misconfigured,
            InDoubt,
            ValueError,
        ]
    )

    def __call__(self, batch: Sequence[Item]) -> Iterator[Receipt]:
        keys = st.sampled_from([*(item.key for item in batch), "stranger"])
        for key in self.data.draw(st.lists(keys, max_size=len(batch) + 1)):
            yield Receipt(key, fault=self.data.draw(st.none() | faults))
        ending: Any = self.data.draw(st.none() | st.sampled_from(self.kinds))
        if ending:
            raise ending("over")


faults = st.sampled_from(
    [Rejected("no"), TooLarge("big"), Unavailable("down"), InDoubt("?"), Throttled("slow")]
)


@settings(deadline=None)  # a busy machine is no finding
@given(st.integers(0, 20), st.data())
def test_whatever_a_connector_does_each_item_gets_one_receipt(count: int, data: st.DataObject) -> None:
    words, _, scripted = settled(Chaos(data), count)
    assert set(words) == {f"k{n}" for n in range(count)}
    assert "TooLarge" not in words.values()
    assert len(scripted.calls) <= 4 * count + 1
