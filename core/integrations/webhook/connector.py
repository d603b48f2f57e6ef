"""Any receiver that speaks Standard Webhooks: one signed POST per record, the same id on every attempt."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.http.errors import DeliveryError, Misconfigured
from core.integrations.answers import STATUS_IS_ALL, foreign, is_foreign, one_by_one, reached
from core.integrations.base import Connector, Item, Receipt, Step
from core.platform.secret import Secret

PREFIX = "whsec_"
SECRET_BYTES = (24, 64)  # standardwebhooks.com, Signature scheme


@dataclass(frozen=True, kw_only=True)
class Config:
    url: str
    signing_secret: Secret
    events: Sequence[str] = ()  # which records reach the connector is decided before it


class Webhook(Connector[Config]):
    Config = Config

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        return one_by_one(items, self._send)

    def check(self) -> Iterator[Step]:
        """OPTIONS changes nothing anywhere; many receivers refuse it, which still shows that they are there."""
        key_of(self.config.signing_secret)
        try:
            self.http.request("OPTIONS", self.config.url)
        except DeliveryError as fault:
            if fault.status is None or not 400 <= fault.status < 500:
                raise
        yield from reached(self.config.url, "The receiver")
        words = "Whether the receiver takes the signature and the address shows the first alert."
        yield Step("credentials", None, words)

    def _send(self, item: Item) -> Receipt:
        content = item.payload.encode()  # what is signed is what is sent
        at = str(int(self.tools.now().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": item.key,
            "webhook-timestamp": at,
            "webhook-signature": sign(self.config.signing_secret, item.key, at, content),
        }
        try:
            self.http.post(self.config.url, content=content, headers=headers, extensions=STATUS_IS_ALL)
        except DeliveryError as fault:
            raise (foreign(fault, "the receiver") if is_foreign(fault) else fault) from None
        return Receipt(item.key)


def sign(secret: Secret, id: str, at: str, content: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`."""
    signed = b".".join((id.encode(), at.encode(), content))
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()


def key_of(secret: Secret) -> bytes:
    """The bytes of a `whsec_…` secret. Raises Misconfigured when it is none."""
    try:
        key = base64.b64decode(secret.reveal().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not SECRET_BYTES[0] <= len(key) <= SECRET_BYTES[1]:
        raise Misconfigured(
            "The signing secret is not whsec_ and the base64 of 24 to 64 bytes. Enter the receiver's own secret, "
            "or make one with: echo whsec_$(openssl rand -base64 32)",
            stage="credentials",
        )
    return key
