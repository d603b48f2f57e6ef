"""The benchmarks' own parts: who counts what arrived, how ratios are made, where the table goes. No test of speed."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bench import contest, peers, sink, table
from bench.contest import HUB, Contender, Sample
from bench.table import Line
from tests.cli.test_cli import bare
from tests.support.terminal import Hub

__all__ = ["bare"]


@pytest.fixture(scope="module")
def receiver() -> Iterator[sink.Sink]:
    with sink.Sink() as running:
        yield running


def test_the_sink_counts_each_record_once_however_often_and_wherever_it_stands(receiver: sink.Sink) -> None:
    receiver.begin()
    with httpx.Client(base_url=receiver.url, trust_env=False) as client:
        one, two = sink.name(1), sink.name(2)
        client.post("/", content=f'{{"id": "{one}", "again": "{one}"}}\n{{"id": "{two}"}}')
        client.post("/", content=f'{{"id": "{two}"}}')
        client.post("/", content=gzip.compress(sink.name(3).encode()), headers={"Content-Encoding": "gzip"})
        client.post(f"/hook/{sink.name(4)}", content="{}")
        assert client.post("/", content="{}").json() == {"text": "Success", "code": 0}
    assert receiver.arrived() == 4


def test_a_new_round_begins_with_nothing(receiver: sink.Sink) -> None:
    receiver.begin()
    httpx.post(receiver.url, content=sink.name(1), trust_env=False)
    receiver.begin()
    assert receiver.arrived() == 0


def test_whoever_says_more_than_arrived_has_no_figure(receiver: sink.Sink) -> None:
    assert contest._judged(10, 10, 2.0, 1.0) == Sample(5.0, 10_000.0)
    assert contest._judged(10, 9, 2.0, 1.0).problem == "9 of 10 arrived"
    (_, line) = contest.lines(
        "x", [_named(HUB), _named("other")], [_round(4, 0), _round(5, 0, "9 of 10 arrived")]
    )
    assert line.measured == "9 of 10 arrived"
    assert line.times == ""


def _named(name: str, missing: str = "") -> Contender:
    return Contender(name, lambda _: Sample(1, 1), missing)


def _round(hub: float, other: float, problem: str = "") -> dict[str, Sample]:
    return {HUB: Sample(hub, 3.0), "other": Sample(other or 1, 1.0, problem)}


def test_how_many_times_is_the_median_of_the_rounds_own_ratios() -> None:
    rounds = [_round(10, 10), _round(30, 10), _round(200, 100)]
    first, second = contest.lines("Export", [_named(HUB), _named("other")], rounds)
    assert first == Line("Export", HUB, "30", "10 to 200", "3")
    assert second == Line("", "other", "10", "10 to 100", "1", "2 ×")


def test_a_peer_that_is_missing_is_a_row_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "is_installed", lambda name: False)
    missing = contest.syslog_ng("disk buffer", batch=500)
    _, line = contest.lines("Export", [_named(HUB), missing], [{HUB: Sample(1, 1)}])
    assert line == Line("", "syslog-ng (disk buffer)", "not installed here: make bench-peers")
    assert contest.peer("apprise", "nothing").missing == line.measured
    assert contest.peer("httpx", "nothing").missing == ""


def test_the_table_goes_between_its_marks_and_nothing_else_moves(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Before\n\n{table.BEGIN}\n\nold\n\n{table.END}\n\nAfter\n")
    table.write(page, "A machine", [Line("Export", HUB, "30")])
    assert page.read_text() == (
        f"# Before\n\n{table.BEGIN}\n\nA machine\n\n"
        "| what | who | measured | spread | CPU s per 100,000 | the hub is |\n| --- | --- | --- | --- | --- | --- |\n"
        f"| Export | the hub | 30 |  |  |  |\n\n{table.END}\n\nAfter\n"
    )
    page.write_text("no marks")
    with pytest.raises(SystemExit, match="has no place for the table"):
        table.write(page, "A machine", [])


def test_a_row_that_does_not_exist_is_said_with_those_that_do(bare: Hub) -> None:
    ended = bare.process("bench", "speed")
    assert ended.returncode == 2
    assert "speed is no row; choose among siem, messages" in ended.stderr
