"""A sandbox that runs, a client that talks to it, and one acceptable message for each of its vendors."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import httpx
import pytest

from sandbox import Sandbox

KEY = "fiq-case-3f2a9c4e-0000-4000-8000-000000000001"


def caller(**more: Any) -> httpx.Client:
    return httpx.Client(timeout=10, trust_env=False, verify=False, **more)  # reading the CA file takes 30 ms


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with caller() as client:
        yield client


def send(sandbox: Sandbox, http: httpx.Client, vendor: str) -> httpx.Response:
    """What `send` in tests/integrations/<vendor>/sample.py sends."""
    answer: httpx.Response = import_module(f"tests.integrations.{vendor}.sample").send(sandbox, http)
    return answer
