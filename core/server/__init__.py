"""The ASGI app: Streamlit's pages, sign-in and the API on one port, behind one gate."""

from core.server.app import create_app
from core.server.listen import serve

__all__ = ["create_app", "serve"]
