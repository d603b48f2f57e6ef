"""The only HTTP client: egress guard, deadlines, size caps, TLS, status → fault.

What is in `errors` and `headers` needs no client: whoever asks for those alone does not load one.
"""

from typing import TYPE_CHECKING

from core.platform.faces import face

if TYPE_CHECKING:
    from core.http.client import READS_ONLY, Previewed, Recorder, Rules, VendorClient
    from core.http.dialer import Dialer, MailLine
    from core.http.egress import Egress
    from core.http.exchanges import Exchange, sent_text
    from core.http.status import retry_after_s
else:
    __getattr__ = face(
        __name__,
        {
            "client": ("READS_ONLY", "Previewed", "Recorder", "Rules", "VendorClient"),
            "dialer": ("Dialer", "MailLine"),
            "egress": ("Egress",),
            "exchanges": ("Exchange", "sent_text"),
            "status": ("retry_after_s",),
        },
    )

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
