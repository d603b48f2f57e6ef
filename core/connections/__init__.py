"""Connections as people handle them: create, edit, test, preview, pause, delete. One transaction per verb."""

from core.connections.changing import delete, disable, edit, enable
from core.connections.creating import create, publish_catalog
from core.connections.trying import PreviewRequest, preview, test, test_draft
from core.connections.views import View, find, list_views

__all__ = [
    "PreviewRequest",
    "View",
    "create",
    "delete",
    "disable",
    "edit",
    "enable",
    "find",
    "list_views",
    "preview",
    "publish_catalog",
    "test",
    "test_draft",
]
