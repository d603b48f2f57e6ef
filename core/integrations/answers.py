"""What connectors have in common: reading answers, sending items one by one, the first steps of a test."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import orjson

from core.http.errors import DeliveryError, InDoubt, Misconfigured, Rejected
from core.integrations.base import Item, Receipt, Step
from core.platform.text import is_web_page

#: marks a POST that changes nothing, so that `core.http` never calls it in doubt
READS_ONLY = {"reads_only": True}
#: marks a POST of which only the status is read: a 2xx whose body breaks off has arrived
STATUS_IS_ALL = {"status_is_all": True}
#: marks a POST for a token: changes nothing, and neither its body nor its answer is kept anywhere
SIGNING_IN = {"reads_only": True, "sign_in": True}


def json_answer(response: httpx.Response, vendor: str) -> dict[str, Any]:
    """The JSON object of a 2xx answer. Raises InDoubt when it is none."""
    try:
        answer = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        answer = None
    if isinstance(answer, dict):
        return answer
    raise InDoubt(
        f"{vendor} answered {response.status_code}, but not in its own form.",
        "The record may have arrived; look for it there.",
        status=response.status_code,
    )


def body_of(fault: DeliveryError) -> dict[str, Any]:
    """The refusal's JSON object; empty where it is none."""
    body = fault.json()
    return body if isinstance(body, dict) else {}


def is_foreign(fault: DeliveryError) -> bool:
    """A refusal in HTML: some proxy or firewall speaks, so neither the record nor the account is to blame."""
    return (isinstance(fault, Rejected) or fault.status == 403) and is_web_page(fault.body)


def foreign(fault: DeliveryError, vendor: str) -> Misconfigured:
    return Misconfigured(
        f"Something between the hub and {vendor} answered {fault.status} with a web page. "
        "Correct the address, or let the proxy or firewall pass the hub through.",
        status=fault.status,
        body=fault.body,
        stage="network"
        if fault.status and fault.status >= 400
        else None,  # a page with 200 is another address
    )


def one_by_one(items: Sequence[Item], send: Callable[[Item], Receipt]) -> Iterator[Receipt]:
    """A rejected record does not stop the others; any other fault does, and leaves them untried."""
    for item in items:
        try:
            receipt = send(item)
        except DeliveryError as fault:
            receipt = Receipt(item.key, fault=fault)
        yield receipt
        if receipt.fault is not None and not isinstance(receipt.fault, Rejected):
            return


def reached(url: str, vendor: str) -> Iterator[Step]:
    """The steps that an answer over this address has proven."""
    address = httpx.URL(url)
    yield Step("network", True, f"{vendor} answers at {address.host}.")
    if address.scheme == "https":
        yield Step("tls", True, "The connection is encrypted and the certificate trusted.")
    else:
        words = "Plain http: credentials and records cross the network unencrypted."
        yield Step("tls", None, words, warning=True)
