"""Splunk: the wrong port by its name, and times and addresses as its collector wants them."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.delivery.batch import BatchDelivery
from core.http import Egress, Recorder, Rules, VendorClient
from core.http.errors import DeliveryError, Misconfigured, Unavailable
from core.integrations.base import Item
from tests.integrations.test_connectors import Vendor, build


def checked_through_a_proxy(port: int, answer: dict[str, Any]) -> DeliveryError:
    """How a check of splunk.example.com:PORT ends when that answers so; the local server is the way there."""
    with Vendor([answer]).running() as vendor:
        egress = Egress.parse(f"splunk.example.com:{port}, 127.0.0.1")
        rules = Rules(egress=egress, proxy=vendor.url)
        with VendorClient(vendor="Splunk", rules=rules) as client:
            config = {"url": f"http://splunk.example.com:{port}", "token": "CANARY"}
            with pytest.raises(DeliveryError) as raised:
                list(build("splunk", config, client).check())
            return raised.value


@pytest.mark.parametrize(("port", "words"), [(8089, "management port"), (8000, "web port")])
def test_the_wrong_splunk_port_is_named(port: int, words: str) -> None:
    page = {"status": 404, "headers": {"Content-Type": "text/html"}, "body": "<!doctype html>"}
    fault = checked_through_a_proxy(port, page)
    assert isinstance(fault, Misconfigured)
    assert fault.message.startswith(f"splunk.example.com:{port} is Splunk's {words}; ")
    assert "8088" in fault.message


def test_a_splunk_that_is_away_is_not_called_the_wrong_port() -> None:
    fault = checked_through_a_proxy(8089, {"status": 503})
    assert isinstance(fault, Unavailable)
    assert "port" not in fault.message


SPLUNK = {"url": "http://127.0.0.1:9", "token": "CANARY"}


@given(st.floats(min_value=0, max_value=1e18))
def test_splunk_never_gets_a_time_with_an_exponent(time: float) -> None:
    recorder = Recorder(vendor="Splunk", rules=Rules(egress=Egress.parse("127.0.0.1:9")))
    item = Item("fiq-scan-1", orjson.dumps({"time": time, "event": {"id": "1"}}).decode())
    list(BatchDelivery(build("splunk", SPLUNK, recorder), [item]))
    written = recorder.requests[0].content.decode().split('"time":')[1].split(",")[0]
    assert "e" not in written.lower()
    assert abs(float(written) - time) <= 0.001 + abs(time) * 1e-12


def test_a_pasted_collector_address_is_understood() -> None:
    recorder = Recorder(vendor="Splunk", rules=Rules(egress=Egress.parse("127.0.0.1:9")))
    config = {"url": "http://127.0.0.1:9/services/collector/event/", "token": "CANARY"}
    list(BatchDelivery(build("splunk", config, recorder), [Item("fiq-scan-1", '{"event":{"id":"1"}}')]))
    assert str(recorder.requests[0].url) == "http://127.0.0.1:9/services/collector/event"
