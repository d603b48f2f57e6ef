"""The same verbs as JSON: `/api/v1`, the sync endpoint, and the OpenAPI document that describes them."""

from core.api.app import create_api
from core.api.guard import Guard
from core.api.problems import TooMany, Unauthorized, problem
from core.api.syncing import Syncs

__all__ = ["Guard", "Syncs", "TooMany", "Unauthorized", "create_api", "problem"]
