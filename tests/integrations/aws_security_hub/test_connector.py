"""Security Hub: findings against AWS's own model, calls against moto (which verifies signatures), and the stand-in."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import botocore.loaders
import botocore.model
import httpx
import orjson
import pytest
import time_machine
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from core.delivery.batch import BatchDelivery
from core.http.errors import Misconfigured
from core.integrations.aws_security_hub import asff
from core.integrations.aws_security_hub.sigv4 import Keys, signed
from sandbox import Sandbox
from sandbox.vendors.aws_security_hub.asff import fault_of
from sandbox.vendors.aws_security_hub.stand_in import OTHER_ACCOUNT, OTHER_KEY, SECRET, TEMPORARY_KEY, TOKEN
from tests.support.proofs import hostile_scan, item, opened, outcomes, scan

REGION, ACCOUNT = "eu-central-1", "123456789012"
ARN = f"arn:aws:securityhub:{REGION}:{ACCOUNT}:product/{ACCOUNT}/default"
NOW = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def shape() -> Any:
    """AWS's own description of what BatchImportFindings takes."""
    data = botocore.loaders.Loader().load_service_model("securityhub", "service-2")
    return botocore.model.ServiceModel(data).operation_model("BatchImportFindings").input_shape


def finding(payload: str, key: str = "fiq-scan-1") -> dict[str, Any]:
    return asff.finding(orjson.loads(payload), key, account=ACCOUNT, product_arn=ARN)


# --- AWS's own model ----------------------------------------------------------------------------------


@pytest.mark.parametrize("record", [scan(1), hostile_scan(2), scan(3, username=None)])
@pytest.mark.parametrize("include_raw", [True, False])
def test_aws_own_model_takes_our_findings(shape: Any, record: dict[str, Any], include_raw: bool) -> None:
    one = item("aws_security_hub", record, include_raw=include_raw)
    made = finding(one.payload, one.key)
    assert ParamValidator().validate({"Findings": [made]}, shape).generate_report() == ""
    assert fault_of(made) == ""


def test_aws_own_model_is_really_asked(shape: Any) -> None:
    made = finding(item("aws_security_hub", scan(1)).payload)
    assert (
        "Severity"
        in ParamValidator().validate({"Findings": [made | {"Severity": 5}]}, shape).generate_report()
    )
    assert (
        "Colour" in ParamValidator().validate({"Findings": [made | {"Colour": 5}]}, shape).generate_report()
    )


text = st.text() | st.text(min_size=500, max_size=3000)
body = st.fixed_dictionaries(
    {"CreatedAt": st.just("2026-11-20T10:00:00.000Z"), "Title": text, "Description": text},
    optional={
        "GeneratorId": text,
        "SourceUrl": text | st.just("https://hub.example.com/r?id=1"),
        "Resources": st.lists(st.fixed_dictionaries({"Id": text}), max_size=40),
        "ProductFields": st.dictionaries(
            st.text(min_size=1), text | st.integers(0, 2**40) | st.none(), max_size=60
        ),
        "raw": st.dictionaries(text, text, max_size=3),
    },
)
severity = {"Severity": {"Label": "HIGH"}, "Types": ["Effects/Data Exposure"]}


@settings(deadline=None, max_examples=60)
@given(body)
def test_no_text_makes_a_finding_that_aws_refuses(content: dict[str, Any]) -> None:
    assert fault_of(finding(orjson.dumps(content | severity).decode())) == ""


# --- the signature ------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "a//session+token=="])
@pytest.mark.parametrize(
    "url",
    ["https://securityhub.eu-central-1.amazonaws.com/findings/import", "http://127.0.0.1:5/a/accounts?x=1"],
)
def test_a_signature_is_the_one_botocore_makes(token: str | None, url: str) -> None:
    class Noon:
        def now(self) -> datetime:
            return NOW

    ours = signed(
        Keys("AKIA1", "secret+/", token),
        "securityhub",
        REGION,
        Noon(),
        method="POST",
        url=url,
        headers={"Content-Type": "application/json"},
        content=b'{"Findings":[]}',
    )
    theirs = AWSRequest("POST", url, {"Content-Type": "application/json"}, b'{"Findings":[]}')
    with time_machine.travel(NOW, tick=False):
        SigV4Auth(Credentials("AKIA1", "secret+/", token), "securityhub", REGION).add_auth(theirs)
    assert ours == dict(theirs.headers)


# --- moto: a server that is not ours and checks signature and policy ------------------------------------


class Moto:
    """IAM user with keys and a policy; from then on every call must be signed and allowed."""

    def __init__(self, url: str, action: str) -> None:
        self.url = url
        httpx.post(f"{url}/moto-api/reset", trust_env=False)
        self.ask_for_signatures(False)
        root = {
            "endpoint_url": url,
            "region_name": REGION,
            "aws_access_key_id": "r",
            "aws_secret_access_key": "r",
        }
        iam = boto3.client("iam", **root)
        iam.create_user(UserName="hub")
        self.keys = iam.create_access_key(UserName="hub")["AccessKey"]
        statement = {"Effect": "Allow", "Action": [action], "Resource": "*"}
        policy = orjson.dumps({"Version": "2012-10-17", "Statement": [statement]}).decode()
        iam.put_user_policy(UserName="hub", PolicyName="hub", PolicyDocument=policy)
        boto3.client("securityhub", **root).enable_security_hub()
        self.ask_for_signatures(True)

    def ask_for_signatures(self, wanted: bool) -> None:
        count = "0" if wanted else "inf"
        httpx.post(f"{self.url}/moto-api/reset-auth", content=count, trust_env=False)

    def values(self, **more: str) -> dict[str, str]:
        return {
            "region": REGION,
            "account_id": ACCOUNT,
            "access_key_id": self.keys["AccessKeyId"],
            "secret_access_key": self.keys["SecretAccessKey"],
            "endpoint_url": self.url,
            "sts_endpoint_url": self.url,
            **more,
        }

    def findings(self) -> list[dict[str, Any]]:
        """Read back by AWS's own client."""
        client = boto3.client(
            "securityhub",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self.keys["AccessKeyId"],
            aws_secret_access_key=self.keys["SecretAccessKey"],
        )
        pages = client.get_paginator("get_findings").paginate()
        return [found for page in pages for found in page["Findings"]]


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_what_was_written_is_read_back_by_awss_client(moto_url: str) -> None:
    moto = Moto(moto_url, "securityhub:*")
    items = [item("aws_security_hub", scan(number)) for number in range(1, 131)]
    items.append(item("aws_security_hub", hostile_scan(999)))
    with opened("aws_security_hub", moto.values()) as connector:
        assert outcomes(BatchDelivery(connector, items)) == ["delivered"] * 131
        assert len(connector.http.exchanges) == 2  # type: ignore[attr-defined]  # 100 and 31
        assert outcomes(BatchDelivery(connector, items)) == ["delivered"] * 131
    found = {one["Id"]: one for one in moto.findings()}
    assert found.keys() == {one.key for one in items}
    assert found[items[0].key]["Severity"]["Label"] == "HIGH"
    assert found[items[0].key]["Title"] == items[0].body["Title"]


def test_a_wrong_secret_is_found_by_the_signature(moto_url: str) -> None:
    moto = Moto(moto_url, "securityhub:*")
    values = moto.values(secret_access_key="another+secret")
    with opened("aws_security_hub", values) as connector:
        with pytest.raises(Misconfigured, match=r"SignatureDoesNotMatch\): the signature does not match"):
            list(connector.check())
        assert outcomes(BatchDelivery(connector, [item("aws_security_hub", scan(1))])) == ["Misconfigured"]
    assert moto.findings() == []


def test_an_unknown_key_is_named(moto_url: str) -> None:
    values = Moto(moto_url, "securityhub:*").values(access_key_id="AKIAIOSFODNN7EXAMPLE")
    with opened("aws_security_hub", values) as connector, pytest.raises(Misconfigured) as told:
        list(connector.check())
    assert "(InvalidClientTokenId): the access key is not known" in told.value.message


def test_a_missing_permission_is_named(moto_url: str) -> None:
    values = Moto(moto_url, "securityhub:GetFindings").values()
    with opened("aws_security_hub", values) as connector:
        (receipt,) = BatchDelivery(connector, [item("aws_security_hub", scan(1))])
    assert isinstance(receipt.fault, Misconfigured)
    assert "securityhub:BatchImportFindings" in receipt.fault.message


def test_the_token_service_tells_whose_keys_they_are(moto_url: str) -> None:
    moto = Moto(moto_url, "securityhub:*")
    with opened("aws_security_hub", moto.values()) as connector:
        steps = connector.check()
        told = [next(steps) for _ in range(4)]
    assert told[2].text == f"AWS knows the keys as arn:aws:iam::{ACCOUNT}:user/hub."
    assert told[3].ok is True
    with opened("aws_security_hub", moto.values(account_id="999999999999")) as connector:
        steps = connector.check()
        told = [next(steps) for _ in range(4)]
    assert told[3].ok is False
    assert told[3].text.startswith(f"The keys belong to account {ACCOUNT}, but 999999999999 is entered.")


def test_whether_security_hub_is_on_is_seen(moto_url: str) -> None:
    moto = Moto(moto_url, "securityhub:*")
    moto.ask_for_signatures(False)  # moto refuses every signed GET without a body, AWS's own client's too
    with opened("aws_security_hub", moto.values()) as connector:
        assert [step.ok for step in connector.check()] == [True, None, True, True, True, None]
    httpx.post(f"{moto_url}/moto-api/reset", trust_env=False)
    with opened("aws_security_hub", moto.values()) as connector, pytest.raises(Misconfigured) as told:
        list(connector.check())
    assert "Security Hub is not switched on" in told.value.message


# --- the stand-in -------------------------------------------------------------------------------------


def test_records_arrive_once_however_often_they_are_sent(sandbox: Sandbox) -> None:
    items = [item("aws_security_hub", record) for record in (scan(1), hostile_scan(2), scan(3))]
    with opened("aws_security_hub", sandbox.credentials("aws_security_hub")) as connector:
        assert [step.ok for step in connector.check()] == [True, None, True, True, True, None]
        sandbox.fault("aws_security_hub", "lost_answer", times=1)
        assert outcomes(BatchDelivery(connector, items)) == ["InDoubt"] * 3
        assert outcomes(BatchDelivery(connector, items)) == ["delivered"] * 3
    assert [one.key for one in sandbox.accepted()] == [one.key for one in items]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"secret_access_key": "another"}, "the signature does not match"),
        ({"access_key_id": "AKIAIOSFODNN7EXAMPLE"}, "the access key is not known"),
        ({"access_key_id": TEMPORARY_KEY, "session_token": "old"}, "the access key is not known"),
        ({"access_key_id": TEMPORARY_KEY}, "Enter their session token"),
        ({"region": "us-east-1"}, "Correct the region or the endpoint"),
        ({"access_key_id": OTHER_KEY, "account_id": OTHER_ACCOUNT}, "Security Hub is not switched on"),
        ({"product_arn": ARN.replace(REGION, "us-east-1")}, "The product ARN is of us-east-1"),
    ],
)
def test_what_is_entered_wrongly_is_named_by_the_test(
    sandbox: Sandbox, changes: dict[str, str], words: str
) -> None:
    values = sandbox.credentials("aws_security_hub") | changes
    with opened("aws_security_hub", values) as connector, pytest.raises(Misconfigured) as told:
        list(connector.check())
    assert words in told.value.message


def test_temporary_keys_work_with_their_token(sandbox: Sandbox) -> None:
    values = sandbox.credentials("aws_security_hub") | {
        "access_key_id": TEMPORARY_KEY,
        "session_token": TOKEN,
    }
    with opened("aws_security_hub", values) as connector:
        assert all(step.ok is not False for step in connector.check())
        assert outcomes(BatchDelivery(connector, [item("aws_security_hub", scan(1))])) == ["delivered"]


def test_findings_for_another_account_are_refused(sandbox: Sandbox) -> None:
    values = sandbox.credentials("aws_security_hub") | {"account_id": OTHER_ACCOUNT}
    with opened("aws_security_hub", values) as connector:
        (receipt,) = BatchDelivery(connector, [item("aws_security_hub", scan(1))])
    assert "AccessDeniedException" in receipt.fault.message
    assert sandbox.accepted() == []


def call(sandbox: Sandbox, content: bytes, *, at: datetime | None = None, **changes: str) -> httpx.Response:
    """A signed call, changed after it was signed."""

    class Then:
        def now(self) -> datetime:
            return at or datetime.now(UTC)

    given = sandbox.credentials("aws_security_hub")
    url = f"{given['endpoint_url']}/findings/import"
    keys = Keys(given["access_key_id"], SECRET, None)
    headers = signed(
        keys,
        "securityhub",
        REGION,
        Then(),
        method="POST",
        url=url,
        headers={"Content-Type": "application/json"},
        content=content,
    )
    sent = content.replace(b"jane", b"june") if changes.pop("tamper", None) else content
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    return httpx.post(url, content=sent, headers=headers, trust_env=False)


GOOD = orjson.dumps({"Findings": [finding(item("aws_security_hub", scan(1)).payload)]})


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"tamper": "yes"}, "InvalidSignatureException"),
        ({"Content_Type": "text/plain"}, "InvalidSignatureException"),
        ({"X_Amz_Date": "20261122T000000Z"}, "InvalidSignatureException"),
        ({"X_Amz_Security_Token": "x"}, "UnrecognizedClientException"),
        ({"Authorization": "Basic x"}, "MissingAuthenticationTokenException"),
    ],
)
def test_the_stand_in_really_verifies_the_signature(
    sandbox: Sandbox, changes: dict[str, str], name: str
) -> None:
    answer = call(sandbox, GOOD, **changes)
    assert (answer.status_code, answer.headers["x-amzn-errortype"].split(":")[0]) == (403, name)
    assert sandbox.accepted() == []
    assert call(sandbox, GOOD).status_code == 200


def test_the_stand_in_refuses_an_old_signature(sandbox: Sandbox) -> None:
    late = datetime.now(UTC) - timedelta(minutes=6)
    assert "Signature expired" in call(sandbox, GOOD, at=late).json()["message"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Title": "x" * 257}, "Title should NOT be longer"),
        ({"Description": ""}, "Description should be a non-empty"),
        ({"CreatedAt": "2026-11-20"}, "CreatedAt should match"),
        ({"Severity": {"Label": "high"}}, "Severity.Label"),
        ({"Types": ["Whatever"]}, "Types should match"),
        ({"Resources": []}, "Resources should have"),
        ({"Resources": [{"Type": "Other", "Id": "x" * 513}]}, "Resources.Id"),
        ({"ProductFields": {"a": 5}}, "ProductFields should be strings"),
        ({"ProductArn": ARN.replace(REGION, "us-east-1")}, "ProductArn"),
        ({"SchemaVersion": "1"}, "SchemaVersion"),
        ({"SourceUrl": "javascript:x"}, "SourceUrl"),
        ({"raw": {}}, "additional property 'raw'"),
    ],
)
def test_the_stand_in_judges_each_finding(sandbox: Sandbox, changes: dict[str, Any], words: str) -> None:
    made = orjson.loads(GOOD)["Findings"][0]
    bad = made | {"Id": "bad"} | changes
    answer = call(sandbox, orjson.dumps({"Findings": [bad, made]})).json()
    assert (answer["FailedCount"], answer["SuccessCount"]) == (1, 1)
    assert answer["FailedFindings"][0]["Id"] == "bad"
    assert words in answer["FailedFindings"][0]["ErrorMessage"]


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"Findings":[]}', orjson.dumps({"Findings": [{}] * 101})])
def test_the_stand_in_refuses_a_call_that_is_none(sandbox: Sandbox, content: bytes) -> None:
    answer = call(sandbox, content)
    assert (answer.status_code, answer.json()["Code"]) == (400, "InvalidInputException")
