"""AWS Signature Version 4 by botocore's signer; the time is given and our own client sends the request."""

from typing import NamedTuple

from core.integrations.base import Tools


class Keys(NamedTuple):
    """What botocore's signer reads of credentials."""

    access_key: str
    secret_key: str
    token: str | None


def signed(
    keys: Keys,
    service: str,
    region: str,
    tools: Tools,
    *,
    method: str,
    url: str,
    headers: dict[str, str],
    content: bytes,
) -> dict[str, str]:
    """`headers` with date, session token and signature. They and the host are signed; send them as they are."""
    # 0.2 s and 15 MB, which only AWS connections should pay
    from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
    from botocore.awsrequest import AWSRequest

    stamp = tools.now().strftime(SIGV4_TIMESTAMP)
    dated = {**headers, "X-Amz-Date": stamp}
    if keys.token:
        dated["X-Amz-Security-Token"] = keys.token
    request = AWSRequest(method=method, url=url, headers=dated, data=content)
    request.context["timestamp"] = stamp
    signer = SigV4Auth(keys, service, region)
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    names = signer.signed_headers(signer.headers_to_sign(request))
    scope = signer.scope(request)
    authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
    return {**dated, "Authorization": authorization}
