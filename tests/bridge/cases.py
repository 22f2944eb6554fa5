"""What the tests of the reducer say in an engine's place, and what they expect."""

from __future__ import annotations

from typing import Any

from tutumwatch.bridge.announcement import Announcement
from tutumwatch.bridge.happenings import (
    ContainerIs,
    ContainerPhase,
    Happening,
    NodeIs,
    NodeState,
    ServiceIs,
)
from tutumwatch.bridge.model import make_cluster
from tutumwatch.bridge.reducer import Reducer

BEGIN = 1_767_225_600.0  # 2026-01-01T00:00:00Z
STATES = {
    "stack": "Not Running, Starting, Running, Partly running, Stopping, Stopped, Redeploying, Terminating, Terminated",
    "service": "Not running, Starting, Running, Partly running, Scaling, Redeploying, Stopping, Stopped, Terminating, Terminated",
    "container": "Starting, Running, Stopping, Stopped, Terminating, Terminated",
    "nodecluster": "Init, Deploying, Deployed, Partly deployed, Scaling, Terminating, Terminated, Empty cluster",
    "node": "Deploying, Deployed, Unreachable, Upgrading, Terminating, Terminated",
    "action": "Pending, In progress, Canceling, Canceled, Success, Failed",
}

P = ContainerPhase


def node(id_: str = "n1", state: NodeState = NodeState.READY) -> NodeIs:
    """Say how a node is."""
    return NodeIs(id_, f"host-{id_}", state, "28.2.2", 4, 16_384)


def service(id_: str = "web", count: int = 1, **more: Any) -> ServiceIs:  # noqa: ANN401 - any field
    """Say how a service of the stack shop is."""
    return ServiceIs(
        **{
            "id": id_,
            "name": id_,
            "image": "shop/web:1.0",
            "replica_count": count,
            "stack": "shop",
            **more,
        }
    )


def container(
    id_: str = "c1",
    phase: ContainerPhase = P.RUNNING,
    of: str | None = "web",
    **more: Any,  # noqa: ANN401 - any field
) -> ContainerIs:
    """Say how a container on node n1 is."""
    fields = {"name": f"name-{id_}", "image": "shop/web:1.0", "node": "n1", "service": of}
    return ContainerIs(**{"id": id_, "phase": phase, **fields, **more})


class World:
    """A reducer, and a second for each batch that it is told."""

    def __init__(self, *told: Happening) -> None:
        """Begin with what is told, and forget what is announced of it."""
        self.reducer = Reducer("test", make_cluster("test", "demo", BEGIN))
        self.now = BEGIN
        self.last: list[Announcement] = []
        if told:
            self.tell(*told)

    def tell(self, *happenings: Happening) -> list[str]:
        """Tell of one moment; give what is announced, as ``service update Running``."""
        self.now += 1
        self.last = self.reducer.apply(happenings, self.now)
        return [f"{a.type} {a.action} {a.state}" for a in self.last]

    def object(self, type_: str) -> dict[str, Any]:
        """Give the object of the last announcement of a type."""
        return next(a.object for a in reversed(self.last) if a.type == type_)
