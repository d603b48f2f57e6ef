"""Calls no larger than the vendor takes: by count, by bytes, in order, nothing lost."""

import importlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import integrations
from core.http.errors import Misconfigured, NotTried, Rejected
from core.integrations.base import Item, Receipt
from core.integrations.batches import batches, ends, joined, too_large
from core.platform import text

lines = st.lists(st.binary(max_size=30), max_size=30)


@given(lines, st.integers(1, 8), st.integers(1, 80))
def test_every_record_goes_out_once_and_in_order(content: list[bytes], count: int, size: int) -> None:
    encoded = [(Item(str(number), "{}"), line) for number, line in enumerate(content)]
    made = list(batches(encoded, size, count))
    assert [each for batch in made for each in batch] == encoded
    for batch in made:
        assert 1 <= len(batch) <= count
        assert len(batch) == 1 or sum(len(line) + 1 for _, line in batch) <= size


def test_a_record_that_no_call_can_hold_is_told() -> None:
    assert too_large([(Item("1", "{}"), b"12345")], 5) is None
    receipt = too_large([(Item("1", "{}"), b"123456")], 5)
    assert receipt is not None
    assert isinstance(receipt.fault, Rejected)
    assert joined([(Item("1", "{}"), b"a"), (Item("2", "{}"), b"b")]) == b"a,b"


def test_only_a_fault_of_the_connection_ends_the_calls() -> None:
    assert not ends([Receipt("1"), Receipt("2", fault=Rejected("bad"))])
    assert ends([Receipt("1", fault=Misconfigured("wrong")), Receipt("2")])
    assert ends([Receipt("1", fault=NotTried("not"))])


@pytest.mark.parametrize("slug", ["aws_security_hub", "elastic", "qradar"])
def test_the_manifest_promises_no_more_than_the_connector_sends(slug: str) -> None:
    module, limits = (
        importlib.import_module(f"core.integrations.{slug}.connector"),
        integrations.get(slug).limits,
    )
    assert limits.batch_items == module.BATCH_ITEMS
    assert limits.batch_bytes is not None
    assert limits.batch_bytes <= module.BATCH_BYTES


@given(st.text(), st.integers(3, 60))
def test_text_cut_by_bytes_fits_and_shows_its_cut(words: str, limit: int) -> None:
    short = text.cut_bytes(words, limit)
    assert len(short.encode()) <= limit
    assert short == words or short.endswith("…")


@given(
    st.text(),
    st.integers(10, 80),
    st.sampled_from(["https://h/1", "javascript:x", None, "https://h/" + "x" * 99]),
)
def test_text_cut_to_its_link_fits_and_ends_with_it(words: str, limit: int, url: str | None) -> None:
    short = text.cut_to_link(words, limit, url)
    assert len(short.encode("utf-16-le")) <= limit * 2
    assert short == words or short.endswith(("…", "…\nhttps://h/1"))
