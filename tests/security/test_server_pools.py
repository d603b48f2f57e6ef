"""One person may be slow, many and patient: nobody else waits for them."""

import asyncio
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from core import access, connections
from core.access import Principal
from core.platform.errors import Busy
from core.web import pools, sign_in
from core.web.api import create_api
from core.web.api.auth import Rate
from core.web.api.body import LARGE_BYTES
from core.web.pools import Pool
from core.web.ui import actions
from tests.conftest import People
from tests.support.api_client import V1, Api, api, client, listening, on_sqlite, refusal, token_of
from tests.support.fault_server import FaultServer
from tests.support.live import ROOT, until
from tests.support.workplace import sandbox, workplace

__all__ = ["api", "on_sqlite", "sandbox", "workplace"]
pytestmark = pytest.mark.security


# --- the pool itself ------------------------------------------------------------------------------


def test_a_person_holds_a_share_and_not_more() -> None:
    pool = Pool("tests", size=4, share=2, wait_s=0)

    async def three() -> None:
        async with pool.place("ana"), pool.place("ana"):
            with pytest.raises(Busy, match="2 of your tests are under way, as many as one person may have"):
                await pool.enter("ana")
            async with pool.place("ben"), pool.place("ben"):
                with pytest.raises(Busy, match="The hub has as many tests under way as it can"):
                    await pool.enter("cleo")
        assert pool.taken == 0

    asyncio.run(three())


def test_who_waits_is_taken_by_turns_of_persons() -> None:
    pool, order = Pool("tests", size=1, share=1, wait_s=5), []

    async def ask(person: str) -> None:
        async with pool.place(person):
            order.append(person)
            await asyncio.sleep(0)

    async def crowd() -> None:
        async with pool.place("dora"):
            asked = [asyncio.create_task(ask(person)) for person in ["ana"] * 4 + ["ben"] * 2 + ["cleo"]]
            await asyncio.sleep(0)
        await asyncio.gather(*asked)

    asyncio.run(crowd())
    assert order == ["ana", "ben", "cleo", "ana", "ben", "ana", "ana"]


def test_a_full_share_does_not_stand_before_others() -> None:
    pool = Pool("tests", size=3, share=1, wait_s=5)

    async def others() -> None:
        async with pool.place("ana"):
            second = asyncio.create_task(pool.enter("ana"))
            await asyncio.sleep(0)
            async with pool.place("ben"), pool.place("cleo"):
                assert not second.done()
        await second
        pool.leave("ana")

    asyncio.run(others())
    assert pool.taken == 0


def test_who_goes_away_while_waiting_leaves_nothing_behind() -> None:
    pool = Pool("tests", size=1, share=1, wait_s=5)

    async def leaving() -> None:
        async with pool.place("ana"):
            waiting = [asyncio.create_task(pool.enter(person)) for person in ("ana", "ben", "cleo")]
            await asyncio.sleep(0)
            for task in waiting[:2]:
                task.cancel()
            await asyncio.wait(waiting[:2])
        await waiting[2]
        pool.leave("cleo")

    asyncio.run(leaving())
    assert (pool.taken, pool._waiting) == (0, {})


def test_threads_and_coroutines_share_the_places() -> None:
    pool, go = Pool("syncs", size=2, share=1, wait_s=0), threading.Event()
    began = pool.begin("ana", lambda: go.wait(10))
    with pytest.raises(Busy, match="1 of your syncs"):
        asyncio.run(pool.enter("ana"))
    with pool.held("ben"), pytest.raises(Busy, match="The hub has"), pool.held("cleo"):
        pass
    go.set()
    assert began.result(10) is True
    until(lambda: pool.taken == 0, "its place was not given back")


def test_under_a_crowd_no_bound_is_broken_and_every_place_comes_back() -> None:
    pool, inside, most = Pool("tests", size=5, share=2, wait_s=20), Counter[str](), Counter[str]()
    lock = threading.Lock()

    def work(number: int) -> None:
        person = f"p{number % 4}"
        with pool.held(person):
            with lock:
                inside[person] += 1
                most["all"] = max(most["all"], inside.total())
                most[person] = max(most[person], inside[person])
            time.sleep(0.001)
            with lock:
                inside[person] -= 1

    with ThreadPoolExecutor(32) as crowd:
        list(crowd.map(work, range(400)))
    assert most.pop("all") <= 5
    assert max(most.values()) <= 2
    assert (pool.taken, pool._waiting) == (0, {})


def test_what_a_thread_raises_is_raised_and_its_place_comes_back() -> None:
    pool = Pool("syncs", size=1, share=1, wait_s=0)
    with pytest.raises(ZeroDivisionError):
        pool.begin("ana", lambda: 1 // 0).result(10)
    until(lambda: pool.taken == 0, "its place was not given back")


def test_no_person_can_hold_a_whole_pool() -> None:
    found = [each for each in vars(pools).values() if isinstance(each, Pool)]
    assert len(found) == 10
    assert all(each.share * 2 <= each.size for each in found)


# --- slow and large bodies ------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["Transfer-Encoding: chunked", "Content-Length: 1000000"])
def test_one_members_slow_bodies_leave_room_for_anothers(
    api: Api, monkeypatch: pytest.MonkeyPatch, length: str
) -> None:
    monkeypatch.setattr(pools.BODIES, "wait_s", 0.2)
    head = f"POST {V1}/scans HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n{length}\r\n"
    head += f"Authorization: {api.a.headers['Authorization']}\r\n\r\n"
    large = [{"id": "1", "text": "x" * 2 * LARGE_BYTES}]
    with ExitStack() as stack:
        for _ in range(pools.BODIES.share):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", httpx.URL(api.url).port)))
            peer.sendall(head.encode())
        until(lambda: pools.BODIES.taken == pools.BODIES.share, "they do not come in")
        busy = refusal(api.a.post(f"{V1}/scans", json=large), 503, "busy")
        assert "of your large requests are under way" in busy["message"]
        assert api.a.post(f"{V1}/scans", json=[{"id": "2", "status": "x"}]).status_code == 200
        assert api.b.post(f"{V1}/scans", json=large).json()["new"] == 1
    until(lambda: pools.BODIES.taken == 0, "who has left still has a place")


# --- a silent vendor ------------------------------------------------------------------------------


@pytest.fixture
def silent(api: Api) -> Iterator[FaultServer]:
    server = FaultServer(lambda peer: peer.hang())
    yield server
    server.stop()


def _connect(api: Api, who: httpx.Client, server: FaultServer, name: str) -> str:
    return api.connect(who, name=name, values=api.splunk()["values"] | {"url": server.url})


def _quickly(who: httpx.Client, path: str = "/connections") -> float:
    begun = time.monotonic()
    assert who.get(V1 + path).status_code == 200
    return time.monotonic() - begun


@pytest.mark.long
def test_45_tests_of_a_silent_vendor_hold_up_nobody(api: Api, silent: FaultServer) -> None:
    """They took all threads of the process, those for tokens as well: another's list came after 17 s."""
    id = _connect(api, api.a, silent, "Silent")
    answers: list[httpx.Response] = []
    token = api.a.headers["Authorization"].partition(" ")[2]

    def test() -> None:
        with client(api.url, token) as one:
            answers.append(one.post(f"{V1}/connections/{id}/test"))

    crowd = [threading.Thread(target=test) for _ in range(45)]
    for each in crowd:
        each.start()
    until(lambda: len(pools.TESTS._waiting.get(_id(api, "ana@example.org"), ())) > 20, "they do not wait")
    assert silent.connects <= pools.TESTS.share * 2
    assert _quickly(api.b) < 5
    assert _quickly(api.a) < 5
    mine = api.connect(api.b, name="Ours")
    assert api.b.post(f"{V1}/connections/{mine}/test").json()["ok"] is True
    assert api.b.post(f"{V1}/scans", json=[{"id": "1", "status": "completed"}]).json()["new"] == 1
    silent.stop()
    for each in crowd:
        each.join(60)
    busy = [each for each in answers if each.status_code != 200]
    assert len(answers) == 45
    for each in busy:
        assert "of your tests are under way" in refusal(each, 503, "busy")["message"]
        assert int(each.headers["retry-after"]) > 0


def _id(api: Api, email: str) -> str:
    assert api.workplace.who.email == email
    return api.workplace.who.user_id


@pytest.mark.long
def test_one_members_slow_syncs_leave_room_for_anothers(
    api: Api, silent: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight of one member were all that the hub had."""
    monkeypatch.setattr(pools.SYNCS, "wait_s", 0.5)
    ids = [_connect(api, api.a, silent, f"Silent {number}") for number in range(pools.SYNCS.share + 1)]
    api.workplace.scans(1)
    token = api.a.headers["Authorization"].partition(" ")[2]

    def sync(id: str) -> httpx.Response:
        with client(api.url, token) as one:
            return api.sync(id, one)

    with ThreadPoolExecutor(len(ids)) as crowd:
        slow = [crowd.submit(sync, id) for id in ids[:-1]]
        until(lambda: silent.connects >= len(slow), "they do not run")
        refusal(sync(ids[-1]), 503, "busy")
        mine = api.connect(api.b, name="Ours")
        assert api.sync(mine, api.b).status_code == 200
        _from_a_page_it_is_the_same(api.workplace.who, ids[-1])
        silent.stop()
        assert {each.result().status_code for each in slow} == {200}
    until(lambda: pools.SYNCS.taken == 0, "a sync does not end")


def _from_a_page_it_is_the_same(who: Principal, id: str) -> None:
    line = next(line for line in connections.board(who).lines if line.id == id)
    result = actions._run(who, line, False, lambda text: None)
    assert (result.success, "of your syncs are under way" in result.message) == (False, True)


def test_syncs_are_counted_for_the_person_and_not_for_each_token(api: Api) -> None:
    tokens = [token_of(api.workplace.who) for _ in range(3)]
    with ExitStack() as stack:
        url = stack.enter_context(listening(create_api(rate=Rate(2, 60.0))))
        asked = [api.sync("nope", stack.enter_context(client(url, token))) for token in tokens]
        other = stack.enter_context(client(url, api.b.headers["Authorization"].partition(" ")[2]))
        assert api.sync("nope", other).status_code == 404
    assert [each.status_code for each in asked] == [404, 404, 429]
    assert "with all your tokens" in refusal(asked[2], 429, "too_many")["message"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/auth/login"), ("POST", "/auth/logout")])
def test_who_cannot_be_looked_at_now_is_told_so(
    people: People, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    monkeypatch.setattr(pools, "AUTHENTICATION", Pool("requests", size=0, share=0, wait_s=0))
    doors = [Route("/auth/login", sign_in.show), Route("/auth/logout", sign_in.sign_out, methods=["POST"])]
    with listening(Starlette(routes=doors)) as url:
        headers = {"Origin": url, "Cookie": f"{access.COOKIE}=x"}
        answer = httpx.request(method, url + path, headers=headers, trust_env=False)
    assert (answer.status_code, "Try again" in answer.text) == (503, True)


def test_the_page_for_operators_has_the_numbers() -> None:
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]+ \| (\d+) \| (\d+) \| (\d+) s \|$", page, re.M)
    found = [each for each in vars(pools).values() if isinstance(each, Pool)]
    assert sorted((each.size, each.share, each.wait_s) for each in found) == sorted(
        tuple(map(int, row)) for row in rows
    )
