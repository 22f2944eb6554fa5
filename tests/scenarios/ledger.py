"""What was said to whom, and what each destination has open after all of it."""

from __future__ import annotations

import attrs

from tests.rules.talk import notices
from tutumwatch.notifiers.pagerduty import incident_key
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.notice import Form, Notice


@attrs.frozen
class Said:
    """A notice, and when it was owed: seconds since the story began."""

    at: float
    notice: Notice

    @property
    def text(self) -> str:
        """What it says."""
        return self.notice.text


@attrs.define
class Page:
    """An incident as a destination has it: opened by a trigger, closed by a resolve of its key.

    ``triggers`` are those that came for it, of which only the first does something.
    """

    key: str
    triggers: list[Said]
    resolved: Said | None = None

    @property
    def opened_at(self) -> float:
        """When it was opened."""
        return self.triggers[0].at

    @property
    def text(self) -> str:
        """What woke somebody."""
        return self.triggers[0].text


@attrs.define(eq=False, repr=False)
class Ledger:
    """All that was said, in order.

    ``pages``: by notifier, in the order they were opened. ``orphans``: resolves of what was not
    open, by notifier: PagerDuty drops them.
    """

    said: list[Said] = attrs.field(factory=list)
    pages: dict[str, list[Page]] = attrs.field(factory=dict)
    orphans: dict[str, list[Said]] = attrs.field(factory=dict)

    def hear(self, decisions: Decisions, at: float) -> None:
        """Take in what was committed."""
        for notice in notices(decisions):
            said = Said(at, notice)
            self.said.append(said)
            self._take(said)

    def open_pages(self, notifier: str) -> list[Page]:
        """Give the incidents that a destination has open."""
        return [page for page in self.pages.get(notifier, []) if page.resolved is None]

    def _take(self, said: Said) -> None:
        notice = said.notice
        key = incident_key(notice)
        if notice.form is Form.MESSAGE and notice.notifier != "pagerduty":
            return
        page = next((p for p in self.open_pages(notice.notifier) if p.key == key), None)
        if notice.form is Form.RESOLVE:
            if page is None:
                self.orphans.setdefault(notice.notifier, []).append(said)
            else:
                page.resolved = said
        elif page is not None:
            page.triggers.append(said)
        else:
            self.pages.setdefault(notice.notifier, []).append(Page(key, [said]))
