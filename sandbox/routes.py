"""Sorts requests by their path: a vendor's own, the control API, or a page for people."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from sandbox import page
from sandbox.contract import Answer, Request, Vendor, text_answer
from sandbox.control_api import control
from sandbox.state import SandboxState

SHOWN_MAX = 50
LOCAL_NAMES = frozenset({"127.0.0.1", "localhost"})


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the lines on the page are for: how the hub is called there, and what it must be told first."""

    hub: str
    export: str


def connect_line(vendor: Vendor, base: str, hub: str) -> str:
    """The command that connects the hub, called `hub` here; the samples belong to several people."""
    return f"{hub}{vendor.connect_line(base).removeprefix('hub')} --set scope=all"


def handle(state: SandboxState, address: str, terminal: Terminal, request: Request) -> Answer:
    """The answer to a request at the sandbox's `address`."""
    first, _, rest = request.path.lstrip("/").partition("/")
    vendor = state.vendors.get(first)
    if vendor is not None and vendor.over_http:
        return _at_vendor(state, vendor, f"{address}/{first}", _below(request, rest))
    if not _is_local(request):
        return text_answer(
            403, "The sandbox shows itself to this machine only. Open it by its 127.0.0.1 address."
        )
    if first == "_sandbox":
        return control(state, _below(request, rest))
    return (
        _for_people(state, address, terminal, request, first, rest)
        if request.method in ("GET", "HEAD")
        else page.missing()
    )


def _below(request: Request, rest: str) -> Request:
    return Request(request.method, f"/{rest}", request.query, request.headers, request.body)


def _is_local(request: Request) -> bool:
    """Another site can reach this port by a name of its own or by a form; neither may read or change it."""
    host = request.headers.get("host", "")
    origin = request.headers.get("origin")
    return _name(f"//{host}") in LOCAL_NAMES and (origin is None or origin == f"http://{host}")


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _at_vendor(state: SandboxState, vendor: Vendor, base: str, request: Request) -> Answer:
    shown = state.shown(vendor, request.path) if request.method == "GET" and _is_local(request) else None
    return page.detail(shown) if shown else state.answer(vendor, request, base)


def _for_people(
    state: SandboxState, address: str, terminal: Terminal, request: Request, first: str, rest: str
) -> Answer:
    if not first:
        boards = [_board(state, address, terminal.hub, vendor) for vendor in state.vendors.values()]
        refresh = request.query.get("refresh") != "off"
        return page.index(address, terminal.export, boards, refresh=refresh)
    accepted = state.numbered(int(rest)) if first == "accepted" and rest.isdecimal() else None
    return page.detail(accepted) if accepted else page.missing()


def _board(state: SandboxState, address: str, hub: str, vendor: Vendor) -> page.Board:
    base = f"{address}/{vendor.slug}"
    return page.Board(
        slug=vendor.slug,
        name=vendor.name,
        base=base,
        connect_line=connect_line(vendor, base, hub),
        count=state.count(vendor.slug),
        faults=state.faults(vendor.slug),
        latest=state.accepted(vendor.slug)[: -SHOWN_MAX - 1 : -1],
    )
