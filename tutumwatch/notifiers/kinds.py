"""The kinds of notifiers that a configuration may name."""

from __future__ import annotations

from collections.abc import Mapping

from tutumwatch.notifiers import console, pagerduty, slack
from tutumwatch.notifiers.contract import NotifierKind

KINDS: Mapping[str, NotifierKind] = {k.name: k for k in (console.KIND, pagerduty.KIND, slack.KIND)}
