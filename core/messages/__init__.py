"""What the hub itself says: notices about connections that fail, digests of storms."""

from core.messages.digests import calm, due_together, note
from core.messages.notices import attend

__all__ = ["attend", "calm", "due_together", "note"]
