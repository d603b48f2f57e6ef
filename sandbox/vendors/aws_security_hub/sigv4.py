"""AWS's side of Signature Version 4: the signature is computed again from what arrived, and compared."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlencode

from sandbox.contract import Request

SKEW_S = 300
_FORM = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Account:
    """Whose keys they are; `token` for temporary ones."""

    secret: str
    arn: str
    token: str = ""


class _Keys(NamedTuple):
    access_key: str
    secret_key: str
    token: str | None


class Unsigned(Exception):
    """AWS's name of the error, its status is 403."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(words)
        self.name, self.words = name, words


def verify(request: Request, service: str, region: str, accounts: Mapping[str, Account]) -> Account:
    """The account that signed; raises Unsigned."""
    given = _FORM.fullmatch(request.headers.get("authorization", ""))
    if not given:
        raise Unsigned("MissingAuthenticationTokenException", "Missing Authentication Token")
    access_key, date, *scope = given[1].split("/")
    _check_scope(scope, service, region)
    account = accounts.get(access_key)
    if account is None or request.headers.get("x-amz-security-token", "") != account.token:
        raise Unsigned(
            "UnrecognizedClientException", "The security token included in the request is invalid."
        )
    _check_time(request, date)
    names = given[2].split(";")
    needed = {"host", "x-amz-date", *(["x-amz-security-token"] if account.token else [])}
    if not needed <= set(names):
        raise Unsigned("InvalidSignatureException", f"{', '.join(sorted(needed))} must be signed headers.")
    keys = _Keys(access_key, account.secret, None)
    if not hmac.compare_digest(_signature(request, keys, service, region, names), given[3]):
        raise Unsigned(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method.",
        )
    return account


def _check_scope(scope: list[str], service: str, region: str) -> None:
    if len(scope) != 3 or scope[2] != "aws4_request":
        raise Unsigned(
            "IncompleteSignatureException", "Credential must have exactly 5 slash-delimited elements."
        )
    if scope[0] != region:
        raise Unsigned("InvalidSignatureException", "Credential should be scoped to a valid region.")
    if scope[1] != service:
        words = f"Credential should be scoped to correct service: '{service}'."
        raise Unsigned("InvalidSignatureException", words)


def _check_time(request: Request, date: str) -> None:
    stamp = request.headers.get("x-amz-date", "")
    try:
        signed = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Unsigned("IncompleteSignatureException", "Date must be in ISO-8601 'basic format'.") from None
    now = datetime.fromtimestamp(request.at, UTC)
    if abs((now - signed).total_seconds()) > SKEW_S or not stamp.startswith(date):
        words = f"Signature expired: {stamp} is now earlier than {now:%Y%m%dT%H%M%SZ} ({SKEW_S // 60} min.)"
        raise Unsigned("InvalidSignatureException", words)


def _signature(request: Request, keys: _Keys, service: str, region: str, names: list[str]) -> str:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    query = f"?{urlencode(request.query)}" if request.query else ""
    arrived = AWSRequest(
        method=request.method,
        url=f"{request.base}{request.path}{query}",
        headers={name: request.headers.get(name, "") for name in names},
        data=request.body,
    )
    arrived.context["timestamp"] = request.headers["x-amz-date"]
    signer = SigV4Auth(keys, service, region)
    return str(signer.signature(signer.string_to_sign(arrived, signer.canonical_request(arrived)), arrived))
