"""Listens on one port with one process."""

import errno
import socket

import uvicorn

from core import integrations
from core.platform.errors import Unusable
from core.web.app import create_app


def serve(host: str, port: int) -> None:
    """Blocks until SIGINT or SIGTERM. Raises Unusable when the address or a built-in manifest cannot be used."""
    integrations.log_disabled()
    listening = listen(host, port)
    config = uvicorn.Config(
        create_app(),
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run(sockets=[listening])


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
