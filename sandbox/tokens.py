"""Access tokens that a stand-in can check without remembering them: their end, signed."""

import hashlib
import hmac

_SEAL = b"sandbox-only: signs nothing but the stand-ins' own tokens"
LASTS_S = 3599


def token(vendor: str, at: float) -> str:
    """A token that ends an hour after `at`."""
    end = str(int(at) + LASTS_S)
    return f"sandbox.{vendor}.{end}.{_signature(vendor, end)}"


def is_valid(vendor: str, header: str, at: float) -> bool:
    """Whether an Authorization header carries a token of this vendor that has not ended."""
    scheme, _, value = header.partition(" ")
    parts = value.split(".")
    if scheme != "Bearer" or len(parts) != 4 or parts[:2] != ["sandbox", vendor]:
        return False
    genuine = hmac.compare_digest(parts[3].encode(), _signature(vendor, parts[2]).encode())
    return genuine and parts[2].isdecimal() and int(parts[2]) > at


def _signature(vendor: str, end: str) -> str:
    return hmac.new(_SEAL, f"{vendor}.{end}".encode(), hashlib.sha256).hexdigest()
