"""How a kind of notifier is found: a record in ``twisted.plugins``, in any installed package.

twistd reads these records at every start of any of its programs, so a record holds names alone and
imports nothing; the notifier's own module is imported when a configuration names its kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import attrs
from twisted.plugin import IPlugin, getPlugins
from twisted.python.reflect import namedAny
from zope.interface import Attribute, Interface, implementer

if TYPE_CHECKING:
    from tutumwatch.notifiers.contract import NotifierKind

OWN_MODULES = "tutumwatch.notifiers."


class INotifierMaker(Interface):
    """Names a kind of notifier, and knows where to find it."""

    name = Attribute('What ``kind = "NAME"`` in a configuration calls it.')
    module = Attribute("The name of the module that it is in.")

    def load() -> NotifierKind:
        """Import its module and give its kind."""


@implementer(IPlugin, INotifierMaker)
@attrs.frozen
class NotifierMaker:
    """The usual record: the kind is called ``KIND`` in the module named."""

    name: str
    module: str

    def load(self) -> NotifierKind:
        """Import the module and give its kind.

        :raises ImportError: or whatever else its import raises.
        """
        return cast("NotifierKind", namedAny(f"{self.module}.KIND"))


def find_makers(
    plugins: Iterable[INotifierMaker] | None = None,
) -> Mapping[str, Sequence[INotifierMaker]]:
    """Give the makers of all kinds that are installed, by name.

    The first of a name is the one that counts: ours, or else the first by its module's name. What
    is installed later cannot take over what a configuration meant before.
    """
    found = getPlugins(INotifierMaker) if plugins is None else plugins
    makers: dict[str, list[INotifierMaker]] = {}
    for maker in sorted(found, key=lambda m: (not m.module.startswith(OWN_MODULES), m.module)):
        makers.setdefault(maker.name, []).append(maker)
    return makers
