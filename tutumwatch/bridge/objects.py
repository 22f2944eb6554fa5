"""Tutum's REST objects: every field of every type, with the JSON type that clients insist on.

Nothing that may hold a secret is ever in them: no environment, no command line, labels by
allow-list only, and of an image's name not what somebody wrote before the registry's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

from tutumwatch.bridge.model import (
    Action,
    Container,
    Node,
    NodeCluster,
    Service,
    Stack,
    Thing,
)

# Others that Compose sets, such as com.docker.compose.project.working_dir, name paths of the host.
LABELS = frozenset(
    {
        "com.docker.compose.project",
        "com.docker.compose.service",
        "com.docker.compose.container-number",
        "com.docker.stack.namespace",
    }
)
LABEL_PREFIXES = ("com.docker.swarm.", "tutumwatch.")
_DIGEST = re.compile(r"(.*?)(@[\w+.-]+:[0-9a-fA-F]{32,})?", re.ASCII | re.DOTALL)


def http_date(seconds: float | None) -> str | None:
    """Write a date as ``Wed, 17 Sep 2014 08:26:22 +0000``; the CLI reads no other form."""
    return None if seconds is None else _http_date(int(seconds))


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC))


def object_of(thing: Thing) -> dict[str, Any]:
    """Give the REST object of a thing."""
    match thing:
        case Container():
            return _container(thing)
        case Service():
            return _service(thing)
        case Stack():
            return _stack(thing)
        case Node():
            return _node(thing)
        case NodeCluster():
            return _cluster(thing)
        case Action():
            return _action(thing)
        case _:
            raise TypeError(type(thing).__name__)


def parents_of(thing: Thing) -> list[str]:
    """Give the resource_uris of a thing's parents, in Tutum's order; unknown ones are left out."""
    above: list[Thing | None] = []
    match thing:
        case Container(service=service, node=node):
            stack = service.stack if service is not None else None
            above = [service, stack, node, node.cluster if node is not None else None]
        case Service(stack=stack):
            above = [stack]
        case Node(cluster=cluster):
            above = [cluster]
        case Action(of=service):
            above = [service, service.stack]
        case _:
            pass
    return [parent.uri for parent in above if parent is not None]


def _common(thing: Thing) -> dict[str, Any]:
    return {"uuid": thing.uuid, "resource_uri": thing.uri, "state": thing.published or ""}


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in labels.items()
        if name in LABELS or name.startswith(LABEL_PREFIXES)
    }


@lru_cache(maxsize=1024)
def _image(image: str) -> tuple[str, str]:
    """Give an image's name, with its digest and without credentials, and the path of its tag."""
    parts = _DIGEST.fullmatch(image)
    assert parts is not None  # noqa: S101 - it matches any text
    name, digest = parts[1].rpartition("@")[2], parts[2] or ""
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return name + digest, f"/api/v1/image/{folder}{slash}{last}/tag/{tag or 'latest'}/"


# What an engine could say here, and what no client of the time reads.
_SAME_FOR_ALL: Mapping[str, Any] = {
    "public_dns": "",
    "deployment_strategy": "EMPTIEST_NODE",
    "autodestroy": "OFF",
    "autorestart": "OFF",
    "autoredeploy": False,
    "sequential_deployment": False,
    "net": "bridge",
    "pid": "none",
    "run_command": "",
    "entrypoint": "",
    "hostname": "",
    "domainname": "",
    "user": "",
    "working_dir": "",
    "cpuset": "",
    "mac_address": "",
    "privileged": False,
    "read_only": False,
    "tty": False,
    "stdin_open": False,
    "cpu_shares": None,
    "memory": None,
    "memory_swap": None,
    "container_envvars": [],
    "calculated_envvars": [],
    "link_variables": {},
    "linked_to_service": [],
    "linked_from_service": [],
    "bindings": [],
    "tags": [],
    "roles": [],
    "cap_add": [],
    "cap_drop": [],
    "devices": [],
    "dns": [],
    "dns_search": [],
    "extra_hosts": [],
    "security_opt": [],
}


def _runnable(image: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Give the fields that services and containers share."""
    name, tag = _image(image)
    return {**_SAME_FOR_ALL, "image_name": name, "image_tag": tag, "labels": _labels(labels)}


def _dates(thing: Thing) -> dict[str, Any]:
    return {
        "deployed_datetime": http_date(thing.deployed_at),
        "started_datetime": http_date(thing.started_at),
        "stopped_datetime": http_date(thing.stopped_at),
        "destroyed_datetime": http_date(thing.destroyed_at),
    }


def _container(container: Container) -> dict[str, Any]:
    now, node, service = container.now, container.node, container.service
    stack = service.stack if service is not None else None
    ports = service.now.ports if service is not None else ()
    return {
        **_common(container),
        **_runnable(now.image, now.labels),
        **_dates(container),
        "name": now.name,
        "nickname": now.name,
        "stack": stack.uri if stack is not None else None,
        "service": service.uri if service is not None else "",
        "node": node.uri if node is not None else "",
        "containers": [],
        "container_ports": _ports(ports),
        "exit_code": now.exit_code,
        "exit_code_msg": "OOM" if now.is_oom else None,
        "private_ip": "",
        "last_metric": {"cpu": 0.0, "memory": 0, "disk": 0},
        "linked_to_container": [],
        "synchronized": True,
    }


def _ports(ports: tuple[tuple[int, int | None], ...]) -> list[dict[str, Any]]:
    return [
        {
            "inner_port": inner,
            "outer_port": outer,
            "protocol": "tcp",
            "port_name": str(inner),
            "endpoint_uri": "",
            "published": outer is not None,
        }
        for inner, outer in ports
    ]


def _service(service: Service) -> dict[str, Any]:
    now, count = service.now, service.count()
    return {
        **_common(service),
        **_runnable(now.image, now.labels),
        **_dates(service),
        "name": now.name,
        "nickname": now.name,
        "stack": service.stack.uri if service.stack is not None else None,
        "deployment_strategy": "EVERY_NODE" if now.on_every_node else "EMPTIEST_NODE",
        "synchronized": not now.update.is_running,
        "target_num_containers": now.replica_count,
        "current_num_containers": count.current,
        "running_num_containers": count.running,
        "stopped_num_containers": count.stopped,
        "containers": [c.uri for c in service.containers.values()],
        "container_ports": _ports(now.ports),
        "update_state": now.update.value or None,
    }


def _stack(stack: Stack) -> dict[str, Any]:
    return {
        **_common(stack),
        "name": stack.name,
        "nickname": stack.name,
        "synchronized": True,
        "services": [service.uri for service in stack.services.values()],
        "deployed_datetime": http_date(stack.deployed_at),
        "destroyed_datetime": http_date(stack.destroyed_at),
    }


def _cluster(cluster: NodeCluster) -> dict[str, Any]:
    return {
        **_common(cluster),
        "name": cluster.name,
        "nickname": cluster.name,
        "node_type": "",
        "region": "",
        "disk": 0,
        "current_num_nodes": len(cluster.nodes),
        "target_num_nodes": len(cluster.nodes),
        "nodes": [node.uri for node in cluster.nodes.values()],
        "tags": [],
        "provider_options": None,
        "deployed_datetime": http_date(cluster.deployed_at),
        "destroyed_datetime": http_date(cluster.destroyed_at),
    }


def _node(node: Node) -> dict[str, Any]:
    now = node.now
    return {
        **_common(node),
        "external_fqdn": now.hostname,
        "nickname": now.hostname,
        "node_cluster": node.cluster.uri,
        "node_type": "",
        "region": "",
        "availability_zone": "",
        "docker_version": now.engine_version,
        "docker_execdriver": "",
        "docker_graphdriver": "",
        "public_ip": None,
        "tunnel": None,
        "cpu": now.cpu_count,
        "memory": now.memory_mb,
        "disk": 0,
        "current_num_containers": len(node.containers),
        "last_metric": {"cpu": 0.0, "memory": 0, "disk": 0},
        "last_seen": http_date(node.seen_at),
        "tags": [],
        "deployed_datetime": http_date(node.deployed_at),
        "destroyed_datetime": http_date(node.destroyed_at),
    }


def _action(action: Action) -> dict[str, Any]:
    return {
        **_common(action),
        "action": action.title,
        "method": "",
        "path": "",
        "ip": "",
        "location": "",
        "user_agent": "",
        "body": "{}",
        "object": action.of.uri,
        "is_user_action": False,
        "can_be_canceled": False,
        "can_be_retried": False,
        "start_date": http_date(action.deployed_at),
        "end_date": http_date(action.ended_at),
    }
