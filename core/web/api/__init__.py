"""The same verbs as JSON: `/api/v1`, the sync endpoint, and the OpenAPI document that describes them."""

from core.web.api.app import create_api
from core.web.api.errors import TooManyRequests, Unauthorized, problem
from core.web.api.middleware import Guard
from core.web.api.sync_threads import Syncs

__all__ = ["Guard", "Syncs", "TooManyRequests", "Unauthorized", "create_api", "problem"]
