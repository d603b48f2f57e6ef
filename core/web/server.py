"""Listens on one port with one process."""

import asyncio
import errno
import socket
from functools import partial
from typing import Any, Literal, cast

import uvicorn

from core import integrations
from core.delivery import workers
from core.platform.errors import Unusable
from core.platform.settings import settings
from core.web.app import create_app
from core.web.sockets import BoundedSocket, SocketLimits, limits


def serve(host: str, port: int) -> None:
    """Blocks until SIGINT or SIGTERM. Raises Unusable when the address or a built-in manifest cannot be used."""
    integrations.log_disabled()
    workers.attend()
    listening = listen(host, port)
    config = configured(create_app(), limits(settings().trusted_networks))
    uvicorn.Server(config).run(sockets=[listening])


def configured(app: Any, limits: SocketLimits, lifespan: Literal["auto", "off"] = "auto") -> uvicorn.Config:
    """How the hub is served. Whose word counts for an address is decided by `core.web.proxies`, not by uvicorn."""
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(BoundedSocket, limits)),
        lifespan=lifespan,
        proxy_headers=False,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=5,
    )


def listen(host: str, port: int) -> socket.socket:
    """Bound before anything else starts, so that a taken port is one sentence and not a traceback."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise Unusable(f'"{host}" is not an address of this machine. Correct HUB_HOST.') from None
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise Unusable(_reason(host, port, error)) from None
    listening.set_inheritable(True)
    return listening


def _reason(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken by another program. Stop it or choose another with HUB_PORT."
    if error.errno == errno.EACCES:
        return f"Port {port} may not be opened by this user. Choose one above 1023 with HUB_PORT."
    return f"{host}:{port} cannot be listened on ({error.strerror}). Correct HUB_HOST and HUB_PORT."
