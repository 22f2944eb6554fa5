"""One notice in place of many: who, how many, and what became of the first of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from tutumwatch.inventory.survey import NAMED_MAX_COUNT
from tutumwatch.rules.notice import Destination, Form, Notice

NAME_MAX_CHARS = 200


@attrs.define
class Share:
    """What one notifier would have been told singly.

    ``names``: the first, each with its outcome and how often it came. ``withheld``: how many more
    a cooldown had kept back until then. It is kept over restarts as it is here.
    """

    count: int = 0
    names: dict[str, int] = attrs.field(factory=dict)
    withheld: int = 0

    def add(self, name: str, withheld: int) -> None:
        """Count one more."""
        self.count += 1
        self.withheld += withheld
        cut = name if len(name) <= NAME_MAX_CHARS else f"{name[: NAME_MAX_CHARS - 1]}…"
        if cut in self.names or len(self.names) < NAMED_MAX_COUNT:
            self.names[cut] = self.names.get(cut, 0) + 1

    def names_in_words(self) -> str:
        """Write the names one after the other, and how many there are beside them."""
        shown = ", ".join(
            f"{name} ({times} times)" if times > 1 else name for name, times in self.names.items()
        )
        more = self.count - sum(self.names.values())
        return f"{shown} and {more} more" if more else shown


@attrs.define
class Gathered:
    """What one rule has to say, by notifier: each gets one summary of what is for it.

    ``is_change``: as of the notices of that rule. It is kept over restarts as it is here.
    """

    rule: str
    is_change: bool = False
    count: int = 0
    shares: dict[str, Share] = attrs.field(factory=dict)

    def add(self, notifiers: Iterable[str], name: str, withheld: int = 0) -> None:
        """Gather one thing that there is to say.

        :param name: whom it is about, and what became of it.
        :param withheld: how many a cooldown has kept back before it.
        """
        self.count += 1
        for notifier in notifiers:
            self.shares.setdefault(notifier, Share()).add(name, withheld)

    def write(
        self,
        when: str,
        name: str,
        at: float,
        destinations: Mapping[str, Destination],
        marks: tuple[str, ...] = (),
    ) -> list[Notice]:
        """Write the summaries; a notifier that is not on any more gets none.

        :param when: said behind their number, if that needs to be said.
        :param name: makes their ids unique.
        """
        return [
            Notice(
                id=f"{name}/{self.rule}/{notifier}",
                form=Form.MESSAGE,
                rule=self.rule,
                notifier=notifier,
                key=f"summary/{self.rule}",
                text=destinations[notifier].escape(self._said(when, share, marks)),
                at=at,
                marks=marks,
                details={"count": str(share.count)},
                is_change=self.is_change,
            )
            for notifier, share in self.shares.items()
            if notifier in destinations
        ]

    def _said(self, when: str, share: Share, marks: tuple[str, ...]) -> str:
        many = "1 change" if share.count == 1 else f"{share.count} changes"
        said = f"{self.rule}: {f'{many} {when}'.rstrip()}: {share.names_in_words()}"
        return said + "".join(f" ({mark})" for mark in marks) + and_more(share.withheld)


def and_more(count: int) -> str:
    """Say how many more there were, that a cooldown kept back; nothing if there were none."""
    return f" (and {count} more)" if count else ""
