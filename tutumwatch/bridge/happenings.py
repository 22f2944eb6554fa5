"""What an engine can say: how a node, a service or a container is now, or that it is gone.

Every cloud, real or simulated, speaks in these; the reducer makes Tutum's objects and events of
them. They are states, not commands: saying the same twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeAlias

import attrs


class NodeState(Enum):
    """How an engine sees a node; UNKNOWN: it has just joined."""

    UNKNOWN = "unknown"
    READY = "ready"
    DOWN = "down"


class Update(Enum):
    """Where a service's update is, in Swarm's words; NONE: none since the service changed last."""

    NONE = ""
    UPDATING = "updating"
    PAUSED = "paused"
    COMPLETED = "completed"
    ROLLBACK_STARTED = "rollback_started"
    ROLLBACK_PAUSED = "rollback_paused"
    ROLLBACK_COMPLETED = "rollback_completed"

    @property
    def is_running(self) -> bool:
        """Whether containers are being replaced."""
        return self in {Update.UPDATING, Update.ROLLBACK_STARTED}


class ContainerPhase(Enum):
    """How far a container is; TERMINATING: stopped in order to be removed."""

    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    TERMINATING = "Terminating"
    STOPPED = "Stopped"


@attrs.frozen
class NodeIs:
    """A node as it is now."""

    id: str
    hostname: str
    state: NodeState
    engine_version: str = ""
    cpu_count: int = 0
    memory_mb: int = 0


@attrs.frozen
class ServiceIs:
    """A service as it is now. ``stack`` is None for a service of its own."""

    id: str
    name: str
    image: str
    replica_count: int
    stack: str | None = None
    update: Update = Update.NONE
    on_every_node: bool = False
    labels: Mapping[str, str] = attrs.field(factory=dict)
    ports: tuple[tuple[int, int | None], ...] = ()


@attrs.frozen
class ContainerIs:
    """A container as it is now. ``node`` is empty until it has a place to run.

    ``is_wanted``: its service wants it to run; False while it is on its way out. ``exit_code`` is
    None until it ended; ``is_oom``: the kernel killed it for want of memory.
    """

    id: str
    name: str
    image: str
    node: str
    phase: ContainerPhase
    service: str | None = None
    is_wanted: bool = True
    exit_code: int | None = None
    is_oom: bool = False
    labels: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class NodeGone:
    """A node left the cloud."""

    id: str


@attrs.frozen
class ServiceGone:
    """A service was removed; its containers may still be on their way out."""

    id: str


@attrs.frozen
class ContainerGone:
    """A container was removed."""

    id: str


Happening: TypeAlias = NodeIs | ServiceIs | ContainerIs | NodeGone | ServiceGone | ContainerGone
