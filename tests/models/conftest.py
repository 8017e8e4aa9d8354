"""Fixtures that several modules of this folder use."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from answering import KEY, VARIABLE, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from answering import Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine, to which no proxy leads."""
    monkeypatch.setenv(VARIABLE, KEY)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield from serving()


@pytest.fixture
def other() -> Iterator[Server]:
    """A second one."""
    yield from serving()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks the network fails."""

    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a test registers is gone after it."""
    import hrembed.mteb as ours

    monkeypatch.setattr(ours._tasks, "_TASKS_REGISTRY", dict(ours._tasks._TASKS_REGISTRY))
    monkeypatch.setattr(ours._tasks, "TASK_LIST", ours._tasks.TASK_LIST)
    return ours
