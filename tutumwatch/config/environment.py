"""What the environment sets: variables, and files that variables name.

Every variable ``NAME`` may instead be given as ``NAME_FILE``, the path of a file that holds it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import attrs

FILE_PREFIX = "file:"
# A credential is a line; this keeps a path such as /dev/zero from filling the memory.
SECRET_FILE_MAX_BYTES = 64 * 1024

# Finds every "${", so that one that is misspelled is not taken for text.
_VARIABLE = re.compile(r"\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?:(:-)([^}]*))?\})?")


class UnsetError(LookupError):
    """A variable that is needed and not set; its argument is the name."""


@attrs.frozen
class Environment:
    """The environment of this process.

    :param home: where ``.tutum`` is looked for.
    """

    variables: Mapping[str, str] = attrs.field(repr=False)
    home: Path

    @classmethod
    def of_process(cls) -> Environment:
        """Take the environment that we were started in."""
        home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises for a user without an entry, as containers have
        return cls(os.environ, Path(home))

    def get(self, name: str) -> str | None:
        """Give a variable, or what the file that NAME_FILE names holds; empty is unset.

        :raises ValueError: if both are set, or the file cannot be read or is empty.
        """
        value = self.variables.get(name) or None
        path = self.variables.get(f"{name}_FILE") or None
        if value is not None and path is not None:
            message = f"{name} and {name}_FILE are both set; unset one of them"
            raise ValueError(message)
        return value if path is None else read_secret_file(path, f"{name}_FILE")

    def expand(self, text: str) -> str:
        """Replace ``${NAME}`` and ``${NAME:-default}`` in a setting.

        :raises UnsetError: for a variable without a default that is not set.
        :raises ValueError: as :meth:`get` does, and for a ``${`` that begins neither form.
        """

        def replace(match: re.Match[str]) -> str:
            name, has_default, default = match.groups()
            if name is None:
                message = '"${" begins a variable; write ${NAME} or ${NAME:-default}'
                raise ValueError(message)
            value = self.get(name)
            if value is None and not has_default:
                raise UnsetError(name)
            return value if value is not None else default

        return _VARIABLE.sub(replace, text)


def variables_in(text: str) -> tuple[str, ...]:
    """Give the names of the variables that a setting is made of."""
    return tuple(match[1] for match in _VARIABLE.finditer(text) if match[1])


def read_secret_file(path: str, name: str) -> str:
    """Read a file that holds one value; the line break at its end is not part of it.

    :param name: what named the file, for the error. The path is told only if it looks like one:
        people put the credential itself there.
    :raises ValueError: naming it, if the file cannot be read, or is empty, overlong or no text.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(SECRET_FILE_MAX_BYTES + 1)
        reason = _unusable(content)
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or "it is no path"
    if reason:
        shown = repr(path) if path.startswith(("/", "./", "../")) else "the file that it names"
        message = f"{name}: cannot read {shown}: {reason}"
        raise ValueError(message)
    return content.decode().rstrip("\r\n")


def _unusable(content: bytes) -> str:
    """Say why a file's content is no value, or nothing if it is one."""
    if len(content) > SECRET_FILE_MAX_BYTES:
        return f"it has more than {SECRET_FILE_MAX_BYTES} bytes"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return "it is not UTF-8"
    return "" if text.rstrip("\r\n") else "it is empty"
