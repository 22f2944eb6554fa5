"""What a bridge is told: where to listen, who may ask, and which cloud to show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address

import attrs

from tutumwatch.bridge.credentials import Account
from tutumwatch.secret import Secret

DEFAULT_LISTEN = "tcp:8080:interface=127.0.0.1"
# So that a minute shows what the simulated cloud has to show.
DEFAULT_RATE = 2.0
USER, APIKEY = "TUTUMBRIDGE_USER", "TUTUMBRIDGE_APIKEY"


class BridgeError(ValueError):
    """A bridge that cannot be started as told; says what to change."""


@attrs.frozen
class DemoSettings:
    """The simulated cloud: ``rate`` is in events a second."""

    seed: int = 1
    rate: float = DEFAULT_RATE

    def __str__(self) -> str:
        """Say which cloud it is and how fast it lives."""
        many = "1 event" if self.rate == 1 else f"{self.rate:g} events"
        pace = f"{many} a second" if self.rate else "standing still"
        return f"a simulated cloud (seed {self.seed}, {pace})"


def is_loopback(listen: str) -> bool:
    """Say whether an endpoint can be reached from this machine alone; in doubt not."""
    kind, *parts = re.split(r"(?<!\\):", listen)
    if kind == "unix":
        return True
    named = [part.partition("=") for part in parts]
    interfaces = [value for name, _, value in named if name == "interface"]
    try:
        address = ip_address(interfaces[-1].replace("\\", "") if interfaces else "")
    except ValueError:
        return interfaces == ["localhost"]
    return kind in {"tcp", "tcp6", "ssl"} and address.is_loopback


def read_account(environ: Mapping[str, str], listen: str) -> Account:
    """Read the bridge's credentials from the environment.

    :raises BridgeError: if they are half set, set twice, or missing where others can reach it.
    """
    user, apikey = _read(environ, USER), _read(environ, APIKEY)
    if (user is None) is not (apikey is None):
        missing = USER if user is None else APIKEY
        raise BridgeError(f"{missing} is not set, but the other of the pair is")
    if user is not None and apikey is not None:
        return Account(user, Secret(apikey))
    if not is_loopback(listen):
        raise BridgeError(
            f"{listen} can be reached from elsewhere: set {USER} and {APIKEY} (each also as "
            f"NAME_FILE), or listen on tcp:8080:interface=127.0.0.1"
        )
    return Account()


def _read(environ: Mapping[str, str], name: str) -> str | None:
    value, path = environ.get(name) or None, environ.get(f"{name}_FILE") or None
    if value is not None and path is not None:
        raise BridgeError(f"{name} and {name}_FILE are both set; unset one of them")
    if path is None:
        return value
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - one line
            return file.read().rstrip("\r\n") or None
    except (OSError, UnicodeDecodeError) as problem:
        raise BridgeError(f"{name}_FILE: cannot read {path!r}: {problem}") from problem
