"""Pure: what AWS's error names mean, in words that say which field, policy or clock to correct."""

import re
from collections.abc import Mapping
from typing import Any

from core.http.errors import (
    CORRECT_MAPPING,
    DeliveryError,
    Misconfigured,
    Rejected,
    Stage,
    Throttled,
    Unavailable,
)
from core.integrations.answers import body_of, foreign
from core.platform.text import is_web_page, one_line

_SKEW = "the time in the signature is off. Set the clock of the hub's machine, then press Test."
_SIGNATURE = "the signature does not match. Enter the access key ID and the secret access key again."
_KEY = "the access key is not known or not active. Enter the keys again, or make new ones."
_EXPIRED = "the session token has expired. Enter new temporary keys, or use those of an IAM user."
_PROXY = "the signature arrived incomplete. Let the proxy in between pass all headers through."
_OFF = (
    "Security Hub is not switched on for account {account} in {region}. "
    "Switch it on there, or correct region and account."
)
_DENIED = (
    "not allowed. Grant securityhub:BatchImportFindings, and enter the account whose keys these are: "
    "AWS refuses findings for any other account than that ({account} is entered)."
)
_SLOW = "too many calls."
#: what fails in a connection test by it
_STAGES: dict[str, Stage] = {
    **dict.fromkeys((_SKEW, _SIGNATURE, _KEY, _EXPIRED), "credentials"),
    _PROXY: "network",
    _OFF: "target",
    _DENIED: "permission",
}
_NEXT: dict[type[DeliveryError], str] = {Rejected: CORRECT_MAPPING, Throttled: "The findings wait."}

#: error name → what it is and what to do; the names are those of AWS's API model and of its common errors
NAMES: dict[str, tuple[type[DeliveryError], str]] = {
    "InvalidAccessException": (Misconfigured, _OFF),
    "ResourceNotFoundException": (Misconfigured, _OFF),
    "AccessDeniedException": (Misconfigured, _DENIED),
    "AccessDenied": (Misconfigured, _DENIED),
    "UnrecognizedClientException": (Misconfigured, _KEY),
    "InvalidClientTokenId": (Misconfigured, _KEY),
    "InvalidSignatureException": (Misconfigured, _SIGNATURE),
    "SignatureDoesNotMatch": (Misconfigured, _SIGNATURE),
    "IncompleteSignatureException": (Misconfigured, _PROXY),
    "IncompleteSignature": (Misconfigured, _PROXY),
    "MissingAuthenticationTokenException": (Misconfigured, _PROXY),
    "MissingAuthenticationToken": (Misconfigured, _PROXY),
    "ExpiredTokenException": (Misconfigured, _EXPIRED),
    "ExpiredToken": (Misconfigured, _EXPIRED),
    "RequestTimeTooSkewed": (Misconfigured, _SKEW),
    "RequestExpired": (Misconfigured, _SKEW),
    "ThrottlingException": (Throttled, _SLOW),
    "Throttling": (Throttled, _SLOW),
    "TooManyRequestsException": (Throttled, _SLOW),
    "LimitExceededException": (Throttled, _SLOW),
    "InvalidInputException": (
        Rejected,
        "the findings were not accepted ({told}).",
    ),
}


def name_of(fault: DeliveryError) -> str:
    """AWS's name of the error: in a header, in the JSON, or (STS) in XML."""
    body = body_of(fault)
    name = fault.headers.get("x-amzn-errortype") or body.get("__type") or body.get("Code") or ""
    if not name:
        found = re.search(r"<Code>(\w+)</Code>", fault.body)
        name = found[1] if found else ""
    # "aws.protocoltests#FooException:http://…": between # and :
    return str(name).split(":")[0].rpartition("#")[2]


def explain(fault: DeliveryError, region: str, account: str) -> DeliveryError:
    if isinstance(fault, Misconfigured | Rejected) and is_web_page(fault.body):
        return foreign(fault, "AWS")
    name = name_of(fault)
    if name not in NAMES:
        return fault
    kind, words = NAMES[name]
    told = _told(fault)
    if words is _SIGNATURE and re.search(r"expired|not yet current", told):
        words = _SKEW
    elif words is _SIGNATURE and "scoped to" in told:
        words = f"{told} Correct the region or the endpoint."
    sentence = words.format(region=region, account=account, told=told) if "{" in words else words
    return kind(
        f"AWS answered {fault.status} ({name}): {sentence}",
        _NEXT.get(kind, ""),
        status=fault.status,
        body=fault.body,
        retry_after_s=fault.retry_after_s,
        headers=fault.headers,
        stage=_STAGES.get(words),
    )


def of_finding(failure: Mapping[str, Any], region: str) -> DeliveryError:
    """The fault of one entry of FailedFindings."""
    code = str(failure.get("ErrorCode") or "")
    told = one_line(f"{code}: {failure.get('ErrorMessage')}", 400)
    if code.startswith("InvalidInput"):
        return Rejected(f"Security Hub refused the finding ({told}).", CORRECT_MAPPING)
    if code.startswith(("InvalidAccess", "AccessDenied")):
        return Misconfigured(
            f"Security Hub did not let the finding in ({told}). "
            f"Check that it is on in {region}, and the product ARN; then press Test."
        )
    kind = Throttled if code.startswith(("Throttl", "LimitExceeded", "TooMany")) else Unavailable
    return kind(f"Security Hub could not take the finding now ({told}).", "It waits and is sent again.")


def _told(fault: DeliveryError) -> str:
    body = body_of(fault)
    told = body.get("message") or body.get("Message")
    found = None if told else re.search(r"<Message>([^<]*)</Message>", fault.body)
    return one_line(str(told or (found[1] if found else "")), 300)
