"""AWS Security Hub: findings in AWS's own format, up to 100 a call, signed, and judged one by one."""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from core.http.errors import DeliveryError, InDoubt, Misconfigured
from core.integrations.answers import READS_ONLY, json_answer, reached
from core.integrations.aws_security_hub import asff
from core.integrations.aws_security_hub.faults import explain, name_of, of_finding
from core.integrations.aws_security_hub.sigv4 import Keys, signed
from core.integrations.base import Connector, Item, Receipt, Step
from core.integrations.batches import Encoded, batches, ends, joined, too_large
from core.platform.secret import Secret

# AWS Security Hub partner guide: 100 findings and 6 MB a call, 240 KB a finding
BATCH_ITEMS, BATCH_BYTES, FINDING_BYTES = 100, 5_900_000, 240_000
#: a region's beginning → the partition in its ARNs, and its domain
PARTITIONS = {"cn-": ("aws-cn", "amazonaws.com.cn"), "us-gov-": ("aws-us-gov", "amazonaws.com")}
WHO_AM_I = b"Action=GetCallerIdentity&Version=2011-06-15"
JSON, FORM = "application/json", "application/x-www-form-urlencoded; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Config:
    region: str
    account_id: str
    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None
    product_arn: str | None = None
    endpoint_url: str | None = None
    sts_endpoint_url: str | None = None


class SecurityHub(Connector[Config]):
    Config = Config

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        encoded = [(item, self._finding(item)) for item in items]
        larger = {
            item.key: receipt
            for item, line in encoded
            if (receipt := too_large([(item, line)], FINDING_BYTES))
        }
        yield from larger.values()
        fitting = (each for each in encoded if each[0].key not in larger)
        for batch in batches(fitting, BATCH_BYTES, BATCH_ITEMS):
            content = b'{"Findings":[%b]}' % joined(batch)
            answer = self._call("POST", f"{self._endpoint}/findings/import", content)
            receipts = self._receipts(batch, json_answer(answer, "Security Hub"))
            yield from receipts
            if ends(receipts):
                return

    def check(self) -> Iterator[Step]:
        self._refuse_mismatch()
        arn, account = yield from self._who_am_i()
        yield Step("credentials", True, f"AWS knows the keys as {arn}.")
        yield self._check_account(account)
        yield self._check_hub()
        yield Step(
            "permission",
            None,
            "Whether the keys have securityhub:BatchImportFindings shows with the first finding; "
            "AWS has no way to ask without sending one.",
        )

    def _finding(self, item: Item) -> bytes:
        account = self.config.account_id
        return orjson.dumps(asff.finding(item.body, item.key, account=account, product_arn=self._product_arn))

    def _receipts(self, batch: Sequence[Encoded], answer: Mapping[str, Any]) -> list[Receipt]:
        """AWS lists only the findings that failed, by their Id."""
        failures = [f for f in answer.get("FailedFindings") or [] if isinstance(f, dict)]
        faults = {str(f.get("Id")): of_finding(f, self.config.region) for f in failures}
        sent = {item.key for item, _ in batch}
        counts = answer.get("SuccessCount"), answer.get("FailedCount")
        if counts != (len(sent) - len(faults), len(faults)) or not faults.keys() <= sent:
            raise InDoubt("Security Hub's answer does not add up; the findings may have arrived.", status=200)
        return [
            Receipt(item.key, vendor_id=None if item.key in faults else item.key, fault=faults.get(item.key))
            for item, _ in batch
        ]

    def _who_am_i(self) -> Generator[Step, None, tuple[str, str]]:
        config = self.config
        sts = (config.sts_endpoint_url or f"https://sts.{config.region}.{self._partition[1]}").rstrip("/")
        answer = self._call("POST", f"{sts}/", WHO_AM_I, service="sts", kind=FORM, extensions=READS_ONLY)
        yield from reached(sts, "AWS")
        arn = re.search(r"<Arn>([^<]{1,500})</Arn>", answer.text)
        account = re.search(r"<Account>(\d{12})</Account>", answer.text)
        if not arn or not account:
            words = "This is not AWS's token service. Correct the STS endpoint, or leave it out."
            raise Misconfigured(words, stage="target")
        return arn[1], account[1]

    def _check_account(self, actual: str) -> Step:
        entered = self.config.account_id
        if actual == entered:
            return Step("target", True, f"The keys belong to account {entered}.")
        text = f"The keys belong to account {actual}, but {entered} is entered. Correct one of them:"
        return Step("target", False, f"{text} AWS takes findings for the keys' own account only.")

    def _check_hub(self) -> Step:
        region = self.config.region
        try:
            self._call("GET", f"{self._endpoint}/accounts")
        except Misconfigured as fault:
            if not name_of(fault).startswith("AccessDenied"):
                raise
            text = f"Whether Security Hub is on in {region} shows with the first finding"
            return Step("target", None, f"{text}; the keys lack securityhub:DescribeHub to ask.")
        return Step("target", True, f"Security Hub is on in {region}.")

    def _call(
        self,
        method: str,
        url: str,
        content: bytes = b"",
        *,
        service: str = "securityhub",
        kind: str = JSON,
        extensions: dict[str, Any] | None = None,
    ) -> httpx.Response:
        region, headers = self.config.region, {"Content-Type": kind}
        headers = signed(
            self._keys(),
            service,
            region,
            self.tools,
            method=method,
            url=url,
            headers=headers,
            content=content,
        )
        try:
            return self.http.request(method, url, content=content, headers=headers, extensions=extensions)
        except DeliveryError as fault:
            raise explain(fault, region, self.config.account_id) from None

    def _keys(self) -> Keys:
        config = self.config
        token = config.session_token.reveal() if config.session_token else None
        if config.access_key_id.startswith("ASIA") and not token:
            words = "Keys that begin with ASIA are temporary. Enter their session token, too."
            raise Misconfigured(words, stage="credentials")
        return Keys(config.access_key_id, config.secret_access_key.reveal(), token)

    def _refuse_mismatch(self) -> None:
        """A finding of another region than its endpoint is refused in words that name neither."""
        config = self.config
        arn = re.match(r"arn:[a-z-]+:securityhub:([a-z0-9-]+):", config.product_arn or "")
        endpoint = re.search(r"securityhub(?:-fips)?\.([a-z0-9-]+)\.", config.endpoint_url or "")
        for name, found in (("product ARN", arn), ("endpoint", endpoint)):
            if found and found[1] != config.region:
                raise Misconfigured(
                    f"The {name} is of {found[1]}, but the region is {config.region}. Correct one of them.",
                    stage="target",
                )

    @property
    def _partition(self) -> tuple[str, str]:
        region = self.config.region
        found = (names for start, names in PARTITIONS.items() if region.startswith(start))
        return next(found, ("aws", "amazonaws.com"))

    @property
    def _endpoint(self) -> str:
        region, override = self.config.region, self.config.endpoint_url
        return str(override or f"https://securityhub.{region}.{self._partition[1]}").rstrip("/")

    @property
    def _product_arn(self) -> str:
        region, account = self.config.region, self.config.account_id
        own = f"arn:{self._partition[0]}:securityhub:{region}:{account}:product/{account}/default"
        return self.config.product_arn or own
