"""Elasticsearch: documents read back by Elastic's own client from a server not ours, and a strict stand-in."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
from elastic_transport import Urllib3HttpNode
from elasticsearch import Elasticsearch
from osmem_server import OsmemServer

from core.delivery.batch import BatchDelivery
from core.http.errors import Misconfigured
from core.integrations.elastic.connector import ORIGINAL_BYTES
from sandbox import Sandbox
from sandbox.vendors.elastic.stand_in import API_KEY, POOR_KEY
from tests.support.proofs import hostile_scan, item, opened, outcomes, scan

STREAM = "logs-footprintiq.scan-default"
#: ECS: the fields a document must have and the types of those we fill
ECS = {"event.severity": int, "event.kind": str, "event.category": list, "event.type": list, "event.id": str}


class PlainTypes(Urllib3HttpNode):
    """Elastic's client names its own version in the media type, which only Elastic's server knows."""

    def perform_request(self, *words: Any, headers: Any = None, **more: Any) -> Any:
        plain = {name: value.replace("vnd.elasticsearch+", "") for name, value in (headers or {}).items()}
        return super().perform_request(*words, headers=plain, **more)


def elastics_client(server: OsmemServer) -> Elasticsearch:
    return Elasticsearch(server.url, node_class=PlainTypes)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[OsmemServer]:
    """An Elasticsearch-compatible server; it has no data streams and no security."""
    running = OsmemServer.start(japanese=False)
    yield running
    running.close()
    if running.process.stdout:  # close() leaves it open
        running.process.stdout.close()


def values(url: str, **more: str) -> dict[str, str]:
    return {"url": url, "api_key": API_KEY, "target": STREAM, **more}


# --- a server that is not ours, asked by Elastic's own client -------------------------------------------


def test_what_was_written_is_read_back_by_elastics_client(server: OsmemServer) -> None:
    items = [item("elastic", scan(number)) for number in range(1, 61)] + [item("elastic", hostile_scan(99))]
    with opened("elastic", values(server.url, target="read-back")) as connector:
        assert outcomes(BatchDelivery(connector, items)) == ["delivered"] * 61
        assert outcomes(BatchDelivery(connector, items)) == ["delivered"] * 61  # 409 each: already there
    with elastics_client(server) as client:
        client.indices.refresh(index="read-back")
        assert client.count(index="read-back")["count"] == 61
        for sent in items:
            got = client.get(index="read-back", id=sent.key)["_source"]
            assert got["message"] == sent.body["message"]
            assert got["event"]["id"] == sent.key
            assert len(got["event"]["original"].encode()) <= ORIGINAL_BYTES
        severe = client.search(index="read-back", query={"range": {"event.severity": {"gte": 73}}}, size=0)
        assert severe["hits"]["total"]["value"] == 61


def test_a_document_the_server_cannot_take_is_rejected_alone(server: OsmemServer) -> None:
    fields = {"event": {"properties": {"severity": {"type": "long"}}}, "@timestamp": {"type": "date"}}
    with elastics_client(server) as client:
        client.indices.create(index="strict", mappings={"properties": fields})
    good, bad = item("elastic", scan(1)), item("elastic", scan(2))
    spoilt = orjson.loads(bad.payload)
    spoilt["@timestamp"] = "yesterday"
    bad = type(bad)(bad.key, orjson.dumps(spoilt).decode())
    with opened("elastic", values(server.url, target="strict")) as connector:
        assert outcomes(BatchDelivery(connector, [bad, good])) == ["Rejected", "delivered"]


def test_a_server_without_that_check_is_told_apart_from_a_wrong_key(server: OsmemServer) -> None:
    with opened("elastic", values(server.url)) as connector:
        assert [(step.name, step.ok) for step in connector.check()][-1] == ("credentials", None)


def test_a_document_follows_the_common_schema() -> None:
    document = orjson.loads(item("elastic", scan(1)).payload)
    assert document["ecs"]["version"]
    assert set(document) <= {"@timestamp", "message", "ecs", "observer", "event", "footprintiq", "raw"}
    event = document["event"] | {"id": "the connector adds it"}
    assert all(isinstance(event[name.split(".")[1]], kind) for name, kind in ECS.items())


# --- the stand-in -------------------------------------------------------------------------------------


def test_records_arrive_once_however_often_they_are_sent(sandbox: Sandbox) -> None:
    items = [item("elastic", scan(1)), item("elastic", hostile_scan(2)), item("elastic", scan(3))]
    with opened("elastic", sandbox.credentials("elastic")) as connector:
        assert [step.ok for step in connector.check()] == [True, None, True, True, None]
        sandbox.fault("elastic", "lost_answer", times=1)
        assert outcomes(BatchDelivery(connector, items)) == ["InDoubt"] * 3
        assert outcomes(BatchDelivery(connector, items)) == ["delivered"] * 3
    assert [one.key for one in sandbox.accepted()] == [one.key for one in items]


def test_a_key_that_may_not_create_fails_the_test_and_the_first_write(sandbox: Sandbox) -> None:
    with opened("elastic", values(f"{sandbox.url}/elastic", api_key=POOR_KEY)) as connector:
        assert [step.text for step in connector.check() if step.ok is False] == [
            f"The API key lacks auto_configure on {STREAM}. Give it these, then press Test."
        ]
        assert outcomes(BatchDelivery(connector, [item("elastic", scan(1))])) == ["Misconfigured"]


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_part_of_the_key_is_refused_before_anything_is_sent(sandbox: Sandbox, part: int) -> None:
    plain = base64.b64decode(API_KEY).decode()
    pasted = [*plain.split(":"), plain][part]
    with opened("elastic", values(f"{sandbox.url}/elastic", api_key=pasted)) as connector:
        with pytest.raises(Misconfigured, match="part of an API key"):
            list(connector.check())
        assert connector.http.exchanges == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("url", ["http://127.0.0.1:5601", "https://my.kb.eu-central-1.aws.cloud.es.io"])
def test_kibanas_address_is_recognised(url: str) -> None:
    with opened("elastic", values(url)) as connector:
        fault = connector._explain(Misconfigured("moved", status=302))  # type: ignore[attr-defined]
        assert "is Kibana" in fault.message


ACTION = '{"create":{"_id":"fiq-scan-1"}}\n'
SOURCE = '{"@timestamp":"2026-11-20T10:00:00Z","event":{"severity":73},"message":"m"}\n'


def bulk(sandbox: Sandbox, content: str, index: str = STREAM, **headers: str) -> httpx.Response:
    usual = {"Authorization": f"ApiKey {API_KEY}", "Content-Type": "application/x-ndjson"}
    given = usual | {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{sandbox.url}/elastic/{index}/_bulk", content=content, headers=given, trust_env=False)


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (ACTION + SOURCE, {}, 200),
        (ACTION + SOURCE.strip(), {}, 400),
        ('["create"]\n' + SOURCE, {}, 400),
        ("\n", {}, 400),
        (ACTION + SOURCE, {"Content_Type": "text/plain"}, 406),
        (ACTION + SOURCE, {"Authorization": ""}, 401),
        (ACTION + SOURCE, {"Authorization": f"Bearer {API_KEY}"}, 401),
        (ACTION + SOURCE, {"Authorization": "ApiKey " + base64.b64encode(b"other:key").decode()}, 401),
    ],
)
def test_the_stand_in_refuses_a_call_as_elasticsearch_does(
    sandbox: Sandbox, content: str, headers: dict[str, str], status: int
) -> None:
    assert bulk(sandbox, content, **headers).status_code == status
    assert len(sandbox.accepted()) == (status == 200)


def item_of(answer: httpx.Response) -> tuple[int, Any]:
    ((_, result),) = answer.json()["items"][0].items()
    return result["status"], result.get("error", {}).get("type")


@pytest.mark.parametrize(
    ("content", "index", "verdict"),
    [
        (ACTION.replace("create", "index") + SOURCE, STREAM, (400, "illegal_argument_exception")),
        (ACTION + "{\n", STREAM, (400, "document_parsing_exception")),
        (ACTION + "[]\n", STREAM, (400, "document_parsing_exception")),
        (ACTION + '{"message":"m"}\n', STREAM, (400, "document_parsing_exception")),
        (ACTION + '{"message":"m"}\n', "plain", (201, None)),
        (
            ACTION + SOURCE.replace("2026-11-20T10:00:00Z", "then"),
            STREAM,
            (400, "document_parsing_exception"),
        ),
        (ACTION + SOURCE.replace("73", '"high"'), STREAM, (400, "document_parsing_exception")),
        (ACTION + SOURCE, "Upper", (400, "invalid_index_name_exception")),
        (ACTION.replace("fiq-scan-1", "x" * 513) + SOURCE, STREAM, (400, "illegal_argument_exception")),
    ],
)
def test_the_stand_in_judges_each_item(sandbox: Sandbox, content: str, index: str, verdict: Any) -> None:
    assert item_of(bulk(sandbox, content, index)) == verdict


def test_the_stand_in_knows_a_document_again(sandbox: Sandbox) -> None:
    assert item_of(bulk(sandbox, ACTION + SOURCE)) == (201, None)
    assert item_of(bulk(sandbox, ACTION + SOURCE)) == (409, "version_conflict_engine_exception")
    assert len(sandbox.accepted()) == 1
