"""The ASGI app: Streamlit's pages, sign-in and the API on one port, behind one gate."""

from core.web.app import create_app
from core.web.server import serve

__all__ = ["create_app", "serve"]
