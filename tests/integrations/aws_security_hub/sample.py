"""A finding as others import it into Security Hub."""

import json

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sandbox import Sandbox
from tests.sandbox.support import KEY


def send(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    given = sandbox.credentials("aws_security_hub")
    arn = "arn:aws:securityhub:eu-central-1:123456789012:product/123456789012/default"
    times = dict.fromkeys(("CreatedAt", "UpdatedAt"), "2026-11-20T10:00:00.000Z")
    texts = dict.fromkeys(("GeneratorId", "Title", "Description"), "Exposed")
    finding = {
        "SchemaVersion": "2018-10-08",
        "Id": KEY,
        "ProductArn": arn,
        "AwsAccountId": given["account_id"],
        "Severity": {"Label": "HIGH"},
        "Types": ["Effects/Data Exposure"],
        "Resources": [{"Type": "Other", "Id": "jane"}],
    }
    url = f"{given['endpoint_url']}/findings/import"
    body = json.dumps({"Findings": [finding | times | texts]})
    request = AWSRequest("POST", url, {"Content-Type": "application/json"}, body.encode())
    keys = Credentials(given["access_key_id"], given["secret_access_key"])
    SigV4Auth(keys, "securityhub", given["region"]).add_auth(request)
    return http.post(url, content=body, headers=dict(request.headers))
