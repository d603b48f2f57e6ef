"""Pages as a person gets them, drawn by the whole dashboard without a browser; for the tests that name them."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.runtime.context import ContextProxy
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from core import access, connections
from core.access import LOCAL, Principal
from core.access.principal import principal_of
from core.integrations import credentials
from core.platform import vault
from core.platform.secret import Secret
from core.platform.settings import settings
from core.storage import db
from core.storage.models import User
from core.web.ui.markup import PART
from sandbox import Sandbox
from tests.support import scenes
from tests.support.live import ROOT

PASSWORD = Secret("a long enough one")
Visit = Callable[..., AppTest]


@pytest.fixture
def own_hub(sqlite_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub with a key and the catalog, that may call the sandbox."""
    monkeypatch.setenv("HUB_DATABASE_URL", sqlite_database)
    monkeypatch.setenv("HUB_EGRESS_ALLOW", "127.0.0.1/32")
    settings.cache_clear()
    db.configure(sqlite_database)
    vault.create_key_file(Path(settings().secret_key_file))
    credentials.ring.cache_clear()
    connections.publish_catalog()
    yield
    credentials.ring.cache_clear()


@pytest.fixture
def ana(own_hub: None) -> User:
    return person("ana@example.org")


def person(email: str, role: str = "member") -> User:
    return access.add_user(LOCAL, email, role, PASSWORD)


def principal(user: User) -> Principal:
    return principal_of(user)


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Visit:
    """Opens a page in a browser that holds this person's cookie; AppTest has no cookies of its own."""

    begin = PagesManager.__init__

    def as_in_the_server(self: PagesManager, *given: Any, **named: Any) -> None:
        begin(self, *given, **named)
        # core.web says so before its first page; AppTest forgets it, and would run a page's file alone
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", as_in_the_server)

    def opened(who: User, where: str, **query: str) -> AppTest:
        token = access.sign_in(who.email, PASSWORD, "127.0.0.1")
        monkeypatch.setattr(ContextProxy, "cookies", {access.COOKIE: token})
        script = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=60).run()
        script.switch_page(f"pages/{where}.py")  # only a script that has run knows its pages
        for name, value in query.items():
            script.query_params[name] = value
        return script.run()

    return opened


def connect(who: User, sandbox: Sandbox, slug: str, name: str, **options: object) -> str:
    """A connection to the sandbox's stand-in, as the form would make it."""
    values = sandbox.credentials(slug)
    return connections.create(principal(who), slug, name=name, values=values, options=options)


def crowd(owner: User, number: int) -> None:
    """Connections in every state there is, light enough for a test of a long list."""
    with db.session() as session:
        scenes.beat(session)
        now = db.now(session)
        states: tuple[dict[str, object], ...] = (
            {},
            {"problem": "Splunk answered 403. Enable the token, then press Test."},
            {"failures": 7, "wait_reason": "backoff", "next_call_at": now + timedelta(minutes=12)},
            {"last_sync": now - timedelta(minutes=47)},
            {"is_active": False},
            {"last_sync": None, "last_success_at": None},
        )
        strip = [[int(now.timestamp()) - 300 * back, "success", back % 7] for back in range(60, 0, -1)]
        for at in range(number):
            slug, name, _ = scenes.TOOLS[at % 3]
            scenes.connect(
                session, owner.id, f"{name} {at:02}", slug, **({"recent": strip} | states[at % len(states)])
            )


def said(page: AppTest) -> str:
    """Every word on the page and in the side bar, dialogs included."""
    dialogs = page._tree[2]
    blocks = (page.main, page.sidebar, dialogs)
    sent = [str(getattr(node, "proto", "")) for block in blocks for node in block]
    return shown("\n".join(sent))


def shown(markdown: str) -> str:
    """What a person sees of words that were escaped."""
    return markdown.replace("\\", "").replace(PART, "")
