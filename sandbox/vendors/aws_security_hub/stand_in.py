"""AWS Security Hub and the token service: signed calls, findings judged one by one, one finding per id."""

import json
from typing import Any

from sandbox.contract import Answer, Headers, Kept, Request, Vendor, json_answer, read_json
from sandbox.vendors.aws_security_hub.asff import fault_of
from sandbox.vendors.aws_security_hub.sigv4 import Account, Unsigned, verify

REGION, ACCOUNT = "eu-central-1", "123456789012"
ACCESS_KEY, SECRET = "AKIASANDBOX000000001", "sandbox/secret+key0000000000000000000000"
TEMPORARY_KEY, TOKEN = "ASIASANDBOX000000001", "sandbox//session+token=="
#: of an account on which Security Hub is not switched on
OTHER_KEY, OTHER_ACCOUNT = "AKIASANDBOX000000002", "999999999999"
ACCOUNTS = {
    ACCESS_KEY: Account(SECRET, f"arn:aws:iam::{ACCOUNT}:user/footprintiq-hub"),
    TEMPORARY_KEY: Account(SECRET, f"arn:aws:sts::{ACCOUNT}:assumed-role/footprintiq/hub", TOKEN),
    OTHER_KEY: Account(SECRET, f"arn:aws:iam::{OTHER_ACCOUNT}:user/other"),
}
FINDINGS_MAX, FINDING_BYTES, CALL_BYTES = 100, 240 * 1024, 6 * 1024 * 1024
ON_FAULT = {
    401: ("UnrecognizedClientException", "The security token included in the request is invalid"),
    403: ("AccessDeniedException", "User is not authorized to perform: securityhub:BatchImportFindings"),
    429: ("LimitExceededException", "The request was rejected because it exceeded the limits."),
    500: ("InternalException", "Internal server error."),
    503: ("ServiceUnavailableException", "Service is unavailable."),
}
WHO = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    "<Arn>{arn}</Arn><UserId>AIDASANDBOX</UserId><Account>{account}</Account></GetCallerIdentityResult>"
    "<ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
)
STS_ERROR = (
    '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
    "<Code>{name}</Code><Message>{words}</Message></Error><RequestId>0</RequestId></ErrorResponse>"
)
#: the token service says it in other words
STS_NAMES = {
    "UnrecognizedClientException": "InvalidClientTokenId",
    "InvalidSignatureException": "SignatureDoesNotMatch",
}


class SecurityHub(Vendor):
    slug = "aws_security_hub"
    name = "AWS Security Hub"
    secrets = frozenset({"secret_access_key"})

    def credentials(self, base: str) -> dict[str, str]:
        return {
            "region": REGION,
            "account_id": ACCOUNT,
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET,
            "endpoint_url": base,
            "sts_endpoint_url": f"{base}/sts",
        }

    def refuse(self, status: int, retry_after_s: float) -> Answer:
        return _error(status, *ON_FAULT[status])

    def answer(self, request: Request) -> Answer:
        if request.path == "/sts/":
            return _who_am_i(request)
        acts = {("POST", "/findings/import"): _import, ("GET", "/accounts"): _hub}
        act = acts.get((request.method, request.path))
        if act is None:
            return _error(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        try:
            return act(request, verify(request, "securityhub", REGION, ACCOUNTS))
        except Unsigned as unsigned:
            return _error(403, unsigned.name, unsigned.words)


def _error(status: int, name: str, words: str) -> Answer:
    headers: Headers = (("x-amzn-ErrorType", f"{name}:http://internal.amazon.com/coral/"),)
    body = {"message": words} if status == 403 else {"Message": words, "Code": name}
    return json_answer(status, body, headers=headers, reason=words)


def _who_am_i(request: Request) -> Answer:
    kind = request.headers.get("content-type", "").partition(";")[0]
    try:
        account = verify(request, "sts", REGION, ACCOUNTS)
    except Unsigned as unsigned:
        name = STS_NAMES.get(unsigned.name, unsigned.name)
        return Answer(403, STS_ERROR.format(name=name, words=unsigned.words).encode(), "text/xml")
    if kind != "application/x-www-form-urlencoded" or b"Action=GetCallerIdentity" not in request.body:
        return Answer(
            400, STS_ERROR.format(name="InvalidAction", words="Could not find it").encode(), "text/xml"
        )
    who = WHO.format(arn=account.arn, account=_number(account))
    return Answer(200, who.encode(), "text/xml")


def _number(account: Account) -> str:
    return account.arn.split(":")[4]


def _hub(request: Request, account: Account) -> Answer:
    number = _number(account)
    if number != ACCOUNT:
        return _error(
            401, "InvalidAccessException", f"Account {number} is not subscribed to AWS Security Hub"
        )
    arn = f"arn:aws:securityhub:{REGION}:{number}:hub/default"
    return json_answer(
        200, {"HubArn": arn, "SubscribedAt": "2026-01-01T00:00:00.000Z", "AutoEnableControls": True}
    )


def _import(request: Request, account: Account) -> Answer:
    number = _number(account)
    if number != ACCOUNT:
        return _error(
            401, "InvalidAccessException", f"Account {number} is not subscribed to AWS Security Hub"
        )
    findings = _findings(request)
    if isinstance(findings, str):
        return _error(400, "InvalidInputException", f"Invalid parameter 'Findings'. {findings}")
    if any(isinstance(f, dict) and f.get("AwsAccountId", number) != number for f in findings):
        words = f"User: {account.arn} is not authorized to perform: securityhub:BatchImportFindings"
        return _error(403, "AccessDeniedException", words)
    return _judged(findings, {one.key for one in request.arrived})


def _findings(request: Request) -> list[Any] | str:
    """The findings of the call, or why it is refused as a whole."""
    if not request.has_json_type():
        return "Content-Type should be application/json."
    try:
        findings = read_json(request.body)["Findings"]
    except (ValueError, KeyError, TypeError):
        return "Cannot be read."
    if not isinstance(findings, list) or not 1 <= len(findings) <= FINDINGS_MAX:
        return f"There should be 1 to {FINDINGS_MAX} findings."
    return "The call is larger than 6 MB." if len(request.body) > CALL_BYTES else findings


def _judged(findings: list[Any], known: set[str]) -> Answer:
    failed: list[dict[str, str]] = []
    keep: dict[str, Kept] = {}
    for finding in findings:
        fault = _fault(finding)
        id = str(finding.get("Id")) if isinstance(finding, dict) else ""
        if fault:
            failed.append({"Id": id, "ErrorCode": "InvalidInput", "ErrorMessage": fault})
        elif id not in known:  # known: an update of the one finding that is there
            keep[id] = Kept(id, finding["Title"], _word(finding), finding, vendor_id=id)
    body = {"FailedCount": len(failed), "SuccessCount": len(findings) - len(failed), "FailedFindings": failed}
    return json_answer(
        200, body, keep=tuple(keep.values()), reason=failed[0]["ErrorMessage"] if failed else ""
    )


def _fault(finding: Any) -> str:
    fault = fault_of(finding)
    if not fault and f":securityhub:{REGION}:{ACCOUNT}:product/" not in finding["ProductArn"]:
        return "ProductArn is not of this region and account"
    if not fault and len(json.dumps(finding, ensure_ascii=False).encode()) > FINDING_BYTES:
        return "the finding is larger than 240 KB"
    return fault


def _word(finding: dict[str, Any]) -> str:
    severity = finding.get("FindingProviderFields", finding)["Severity"]
    return str(severity["Label"]).lower()
