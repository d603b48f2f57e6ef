"""The only HTTP client: egress guard, deadlines, size caps, TLS, status → fault."""

from core.http.client import READS_ONLY, Previewed, Recorder, Rules, VendorClient
from core.http.dialer import Dialer, MailLine
from core.http.egress import Egress
from core.http.exchanges import Exchange, sent_text
from core.http.status import retry_after_s

__all__ = [
    "READS_ONLY",
    "Dialer",
    "Egress",
    "Exchange",
    "MailLine",
    "Previewed",
    "Recorder",
    "Rules",
    "VendorClient",
    "retry_after_s",
    "sent_text",
]
