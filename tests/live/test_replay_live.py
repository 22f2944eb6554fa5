"""Replaying the journal of a run: real sockets, a real store, and what it came to owe there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

from tests.fakes.answers import Answer
from tests.fakes.tutum_events import StreamEvent, container_event, new_uuid, service_event
from tests.live.running import PAGERDUTY_KEY, PD, SLACK, LiveTestCase, until
from tests.rules.world import notices
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.events.inputs import Input, Listed, Looked, Started
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.outbox.sqlite.codec import decode_notice
from tutumwatch.outbox.sqlite.journal import JournalReader
from tutumwatch.replay import replay
from tutumwatch.rules.decider import Decider

RULES = (
    """
[streams.main]

[status]
listen = "off"
"""
    + SLACK
    + PD
    + """
[[messages]]
name = "service"
match = { type = "service", changed = "state" }
notify = "slack"
text = "{{ stack.name }}/{{ name }} is {{ state }}"

[[messages]]
name = "box"
match = { type = "container", state = "Stopped" }
notify = ["slack"]
text = "{{ service.name }}: {{ ended }}"

[[incidents]]
name = "service down"
while = { type = "service", health = "down" }
for = "0s"
notify = ["pd", "slack"]

[[incidents]]
name = "crash loop"
each = { type = "container", ended = "failed" }
times = 2
within = "10m"
per = "service"
notify = "pd"
"""
)


class JournalTests(LiveTestCase):
    """What a run was told is enough to know what it said."""

    def journal_of(self, path: Path) -> list[Input]:
        """Read all that a store holds of what was told."""
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            reader = JournalReader(connection)
            inputs = [*reader.earlier(), *reader.later()]
        self.assertEqual(reader.damaged_count, 0)
        return inputs

    def owed_in(self, path: Path) -> dict[str, tuple[str, str]]:
        """Read to whom a store owes what, by id."""
        with closing(sqlite3.connect(path)) as connection:
            sealed = connection.execute("SELECT notice FROM deliveries").fetchall()
        owed = [decode_notice(notice) for (notice,) in sealed]
        return {notice.id: (notice.notifier, notice.text) for notice in owed}

    async def live(self) -> None:
        """Let a service come and go down, and its containers die, over a restart of ours."""
        for fake in (self.slack, self.pagerduty):
            fake.answer_always(Answer(503, "down"))
        service, stack = new_uuid(), new_uuid()
        web = service_event(service, stack=stack)
        self.start(RULES, SLACK_URL=self.slack.url)
        await self.tutum.when(lambda fake: fake.connection_count == 1)
        self.tutum.announce(web, name="web", running_num_containers=1, target_num_containers=1)
        self.tutum.announce(self.death(service, stack), exit_code=1)
        await until(lambda: self.owed_count() >= 4, what="the service and the container are owed")

        await self.restart(RULES, SLACK_URL=self.slack.url)
        await self.tutum.when(lambda fake: fake.connection_count == 1)
        self.tutum.announce(self.death(service, stack), exit_code=1)
        stopped = service_event(service, action="update", state="Stopped", stack=stack)
        self.tutum.announce(stopped, running_num_containers=0)
        open_rules = {"service down", "crash loop"}
        incidents = self.pipeline.decider.incidents
        await until(
            lambda: {one.name[0] for one in incidents.open_incidents()} == open_rules,
            what="it is down, and crashes",
        )
        await self.watch.stopService()

    @staticmethod
    def death(service: str, stack: str) -> StreamEvent:
        """Let a container of a service be dead."""
        return container_event(action="update", state="Stopped", service=service, stack=stack)

    def owed_count(self) -> int:
        """Count what the watcher owes."""
        return sum(cast("Outbox", self.watch.getServiceNamed("outbox")).owed_counts().values())

    async def test_it_comes_to_what_was_owed(self) -> None:
        await self.live()
        (path,) = self.home.rglob("outbox*.sqlite")
        journal, owed = self.journal_of(path), self.owed_in(path)
        for type_, count in ((Started, 2), (Listed, 1), (Looked, 2)):
            self.assertGreaterEqual(sum(isinstance(one, type_) for one in journal), count, type_)

        environment = {
            **self.variables(),
            "SLACK_URL": self.slack.url,
            "PAGERDUTY_KEY": PAGERDUTY_KEY,
        }
        loaded = load_configuration(
            str(self.home / "tutumwatch.toml"), Environment(environment, self.home)
        )
        decider = Decider(Inventory(), loaded.rules)
        again = [n for decided in replay(journal, decider) for n in notices(decided)]
        self.assertEqual({n.id: (n.notifier, n.text) for n in again}, owed)
        self.assertGreaterEqual({n.rule for n in again}, {"service", "box", "crash loop"})
