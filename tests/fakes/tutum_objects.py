"""Builds the objects of Tutum's REST API: every field of every type, with its JSON type.

Dates are RFC 2822 with English names, lists are never null, counts are integers; a strict client
(the one written in Go) fails on anything else.
"""

from __future__ import annotations

from typing import Any

from tests.fakes.tutum_events import StreamEvent, kind_and_uuid, uri_of

#: A JSON object as the API answers it.
RestObject = dict[str, Any]

LONG_AGO = "Wed, 17 Sep 2014 08:26:22 +0000"

#: The state of an object of which nothing is wrong.
GOOD_STATES = {
    "stack": "Running",
    "service": "Running",
    "container": "Running",
    "nodecluster": "Deployed",
    "node": "Deployed",
    "action": "Success",
}

# Which field of an object names its parent of a type.
_LINKS = {"stack": "stack", "service": "service", "node": "node", "nodecluster": "node_cluster"}


def rest_object(kind: str, uuid: str, **fields: object) -> RestObject:
    """Return a whole object of one of the six types; ``fields`` overrides or adds any field.

    The name is the type and the start of the uuid unless one is given.
    """
    name = str(fields.get("name", f"{kind}-{uuid[:8]}"))
    common: RestObject = {
        "uuid": uuid,
        "resource_uri": uri_of(kind, uuid),
        "state": GOOD_STATES[kind],
    }
    if kind not in ("node", "action"):
        common["name"] = name
    if kind != "action":
        common["nickname"] = name
    return {**common, **_FIELDS[kind](), **fields}


def objects_after(event: StreamEvent, known: dict[str, RestObject]) -> dict[str, RestObject]:
    """Return the objects that a GET must answer with once the event is sent, by resource_uri.

    The event's object has the event's state and names its parents; parents not yet known exist.
    """
    made: dict[str, RestObject] = {}
    for parent in event["parents"]:
        if parent not in known:
            made[parent] = rest_object(*kind_and_uuid(parent))
    uri = event["resource_uri"]
    changed = dict(known.get(uri) or rest_object(*kind_and_uuid(uri)))
    changed["state"] = event["state"]
    for parent in event["parents"]:
        link = _LINKS.get(kind_and_uuid(parent)[0])
        if link in changed:
            changed[link] = parent
    if event["type"] == "action" and event["parents"]:
        changed["object"] = event["parents"][0]
    made[uri] = changed
    return made


def _dates(*names: str) -> RestObject:
    happened: RestObject = {f"{name}_datetime": LONG_AGO for name in names}
    return {**happened, "destroyed_datetime": None}


def _stack() -> RestObject:
    return {"synchronized": True, "services": [], **_dates("deployed")}


def _run_settings() -> RestObject:
    """Return the fields that services and containers share."""
    texts = ("public_dns", "run_command", "entrypoint", "hostname", "domainname", "user")
    more_texts = ("working_dir", "cpuset", "mac_address")
    lists = ("tags", "roles", "cap_add", "cap_drop", "devices", "dns", "dns_search")
    more_lists = ("extra_hosts", "security_opt", "bindings", "container_ports")
    variables = ("container_envvars", "calculated_envvars")
    return {
        "image_name": "tutum/hello-world:latest",
        "image_tag": "/api/v1/image/tutum/hello-world/tag/latest/",
        "stack": None,
        "deployment_strategy": "EMPTIEST_NODE",
        "autodestroy": "OFF",
        "autorestart": "OFF",
        "net": "bridge",
        "pid": "none",
        **dict.fromkeys(texts + more_texts, ""),
        **dict.fromkeys(("autoredeploy", "privileged", "read_only", "tty", "stdin_open"), False),
        **dict.fromkeys(("cpu_shares", "memory", "memory_swap")),
        "synchronized": True,
        "sequential_deployment": False,
        **{name: [] for name in lists + more_lists + variables},
        "link_variables": {},
        "labels": {},
        **_dates("deployed", "started"),
        "stopped_datetime": None,
    }


def _service() -> RestObject:
    return {
        **_run_settings(),
        "target_num_containers": 1,
        "current_num_containers": 1,
        "running_num_containers": 1,
        "stopped_num_containers": 0,
        "containers": [],
        "linked_to_service": [],
        "linked_from_service": [],
    }


def _container() -> RestObject:
    return {
        **_run_settings(),
        "service": "",
        "node": "",
        "exit_code": None,
        "exit_code_msg": None,
        "private_ip": "10.7.0.1",
        "last_metric": {"cpu": 0.5, "memory": 1048576, "disk": 0},
        "linked_to_container": [],
    }


def _nodecluster() -> RestObject:
    return {
        "node_type": "/api/v1/nodetype/digitalocean/1gb/",
        "region": "/api/v1/region/digitalocean/lon1/",
        "disk": 60,
        "current_num_nodes": 1,
        "target_num_nodes": 1,
        "nodes": [],
        "tags": [],
        "provider_options": None,
        **_dates("deployed"),
    }


def _node() -> RestObject:
    return {
        "external_fqdn": "node.example.net",
        "node_cluster": "",
        "node_type": "/api/v1/nodetype/digitalocean/1gb/",
        "region": "/api/v1/region/digitalocean/lon1/",
        "availability_zone": "",
        "docker_version": "1.9.1",
        "docker_execdriver": "native-0.2",
        "docker_graphdriver": "aufs",
        "public_ip": "192.0.2.1",
        "tunnel": None,
        "cpu": 1,
        "memory": 1024,
        "disk": 30,
        "current_num_containers": 0,
        "last_metric": {"cpu": 0.5, "memory": 1048576, "disk": 0},
        "last_seen": LONG_AGO,
        "tags": [],
        **_dates("deployed"),
    }


def _action() -> RestObject:
    return {
        "action": "Service Start",
        "method": "POST",
        "path": "/api/v1/service/",
        "ip": "192.0.2.7",
        "location": "London, United Kingdom",
        "user_agent": "tutum/0.20",
        "body": "{}",
        "object": "",
        "is_user_action": True,
        "can_be_canceled": False,
        "can_be_retried": False,
        "start_date": LONG_AGO,
        "end_date": LONG_AGO,
    }


_FIELDS = {
    "stack": _stack,
    "service": _service,
    "container": _container,
    "nodecluster": _nodecluster,
    "node": _node,
    "action": _action,
}
