"""The fields of Tutum's objects with their JSON types, as the published clients decode them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[Any], bool]

_DATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
    r"\d{4} \d\d:\d\d:\d\d \+0000"
)
_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_URI = re.compile(rf"/api/v1/(stack|service|container|nodecluster|node)/{_UUID4.pattern}/")


def is_str(value: Any) -> bool:  # noqa: ANN401 - JSON, here and below
    return isinstance(value, str)


def is_bool(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, bool)


def is_int(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:  # noqa: ANN401 - JSON
    return is_int(value) or isinstance(value, float)


def is_date(value: Any) -> bool:  # noqa: ANN401 - JSON
    return value is None or (is_str(value) and _DATE.fullmatch(value) is not None)


def is_a_date(value: Any) -> bool:  # noqa: ANN401 - JSON
    return value is not None and is_date(value)


def is_uuid(value: Any) -> bool:  # noqa: ANN401 - JSON
    return is_str(value) and _UUID4.fullmatch(value) is not None


def is_uri(value: Any) -> bool:  # noqa: ANN401 - JSON
    return is_str(value) and _URI.fullmatch(value) is not None


def is_object(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, dict)


def is_texts(value: Any) -> bool:  # noqa: ANN401 - JSON
    """Take an object of strings."""
    return isinstance(value, dict) and all(map(is_str, value.values()))


def is_metric(value: Any) -> bool:  # noqa: ANN401 - JSON
    return (
        isinstance(value, dict)
        and value.keys() == {"cpu", "memory", "disk"}
        and is_number(value["cpu"])
        and is_int(value["memory"])
        and is_int(value["disk"])
    )


def is_json(value: Any) -> bool:  # noqa: ANN401 - JSON
    """Take a string that holds JSON."""
    import json

    return is_str(value) and json.loads(value) is not None


def is_port(value: Any) -> bool:  # noqa: ANN401 - JSON
    checks = {
        "inner_port": is_int,
        "outer_port": or_null(is_int),
        "protocol": is_str,
        "port_name": is_str,
        "endpoint_uri": is_str,
        "published": is_bool,
    }
    return (
        is_object(value)
        and value.keys() == checks.keys()
        and all(check(value[name]) for name, check in checks.items())
    )


def is_tag(value: Any) -> bool:  # noqa: ANN401 - JSON
    return is_object(value) and value.keys() == {"name"} and is_str(value["name"])


def is_variable(value: Any) -> bool:  # noqa: ANN401 - JSON
    return is_object(value) and value.keys() == {"key", "value"}


def or_null(check: Check) -> Check:
    """Take null, too."""
    return lambda value: value is None or check(value)


def or_empty(check: Check) -> Check:
    """Take an empty string, too."""
    return lambda value: value == "" or check(value)


def list_of(check: Check) -> Check:
    """Take a list, never null."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def _named(names: str, check: Check) -> dict[str, Check]:
    return dict.fromkeys(names.split(), check)


_ALL = {"uuid": is_uuid, "resource_uri": is_str, "state": is_str}
_RUNNABLE: Mapping[str, Check] = {
    **_ALL,
    **_named(
        "name nickname image_name image_tag public_dns deployment_strategy autodestroy autorestart net pid "
        "run_command entrypoint hostname domainname user working_dir cpuset mac_address",
        is_str,
    ),
    "stack": or_null(is_uri),
    **_named(
        "autoredeploy synchronized sequential_deployment privileged read_only tty stdin_open",
        is_bool,
    ),
    **_named("cpu_shares memory memory_swap", or_null(is_int)),
    "containers": list_of(is_uri),
    "container_ports": list_of(is_port),
    **_named("container_envvars calculated_envvars", list_of(is_variable)),
    **_named("link_variables labels", is_texts),
    **_named("linked_to_service linked_from_service bindings", list_of(is_object)),
    "tags": list_of(is_tag),
    **_named(
        "roles cap_add cap_drop devices dns dns_search extra_hosts security_opt", list_of(is_str)
    ),
    **_named("deployed_datetime started_datetime stopped_datetime destroyed_datetime", is_date),
}
FIELDS: Mapping[str, Mapping[str, Check]] = {
    "stack": {
        **_ALL,
        **_named("name nickname", is_str),
        "synchronized": is_bool,
        "services": list_of(is_uri),
        **_named("deployed_datetime destroyed_datetime", is_date),
    },
    "service": {
        **_RUNNABLE,
        **_named(
            "target_num_containers current_num_containers running_num_containers stopped_num_containers",
            or_null(is_int),
        ),
    },
    "container": {
        **_RUNNABLE,
        "service": or_empty(is_uri),
        "node": or_empty(is_uri),
        "exit_code": or_null(is_int),
        "exit_code_msg": or_null(is_str),
        "private_ip": is_str,
        "last_metric": is_metric,
        "linked_to_container": list_of(is_object),
    },
    "nodecluster": {
        **_ALL,
        **_named("name nickname node_type region", is_str),
        **_named("disk current_num_nodes target_num_nodes", is_int),
        "nodes": list_of(is_uri),
        "tags": list_of(is_tag),
        "provider_options": or_null(is_object),
        **_named("deployed_datetime destroyed_datetime", is_date),
    },
    "node": {
        **_ALL,
        **_named(
            "external_fqdn nickname node_type region availability_zone docker_version docker_execdriver "
            "docker_graphdriver",
            is_str,
        ),
        "node_cluster": is_uri,
        **_named("public_ip tunnel", or_null(is_str)),
        **_named("cpu memory disk current_num_containers", is_int),
        "last_metric": is_metric,
        "last_seen": is_a_date,
        "tags": list_of(is_tag),
        **_named("deployed_datetime destroyed_datetime", is_date),
    },
    "action": {
        **_ALL,
        **_named("action method path ip location user_agent", is_str),
        "body": is_json,
        "object": is_uri,
        **_named("is_user_action can_be_canceled can_be_retried", is_bool),
        **_named("start_date end_date", is_date),
    },
}


def wrong_fields(type_: str, object_: Mapping[str, Any]) -> list[str]:
    """Give a complaint for each field that is missing or of another type."""
    complaints = [
        f"{type_}.{name} is {object_.get(name, 'missing')!r}"
        for name, check in FIELDS[type_].items()
        if name not in object_ or not check(object_[name])
    ]
    if object_["resource_uri"] != f"/api/v1/{type_}/{object_['uuid']}/":
        complaints.append(f"{type_}.resource_uri is {object_['resource_uri']!r}")
    return complaints
