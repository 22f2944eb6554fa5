"""The object that a platform would have of a resource that we know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tutumwatch.inventory.fields import SCALARS

# What an object calls a parent, where that is not its type.
_CALLED = {"nodecluster": "node_cluster"}


def write_object(
    uri: str,
    name: str | None,
    state: str | None,
    parents: Mapping[str, str],
    fields: Mapping[str, Any],
) -> dict[str, Any]:
    """Write an object.

    :param parents: their resource_uris, by type.
    :param fields: by what rules call them.
    """
    return {
        **{_CALLED.get(type_, type_): parent for type_, parent in parents.items()},
        **{SCALARS.get(field, field): value for field, value in fields.items()},
        "name": name,
        "state": state,
        "resource_uri": uri,
    }
