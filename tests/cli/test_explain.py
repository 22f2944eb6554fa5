"""Tests of ``tutumwatch explain``: each rule's verdict, its reason, and what would be said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner, Result

from tests.config.cases import CREDENTIALS, set_environment
from tests.outbox.test_reading import StoredFileTestCase
from tutumwatch.cli.main import cli
from tutumwatch.events.inputs import Message, Silence
from tutumwatch.inventory.resource import Resource, change_of
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.members import Member, Phase, encode
from tutumwatch.rules.silences import SILENCE

HEAD = """\
[streams.main]
url = "ws://127.0.0.1:9/v1/events"
[streams.lab]
url = "ws://127.0.0.1:9/v1/events"
[notifiers.console]
kind = "console"
[notifiers.ops]
kind = "console"
last_resort = false
"""
# It always holds, which one mute may not.
MUTES = """\
[[mutes]]
name = "am"
match = { type = "service" }
to = "12:00"
[[mutes]]
name = "pm"
match = { type = "service" }
from = "12:00"
"""
WEB = "/api/v1/service/web/"
SHOP = "/api/v1/stack/shop/"


def rule(kind: str, name: str, body: str) -> str:
    """Write a rule that tells the console."""
    return f'[[{kind}]]\nname = "{name}"\n{body}\nnotify = "console"\n'


def message(match: str, text: str = "{{ name }} {{ state }}", more: str = "") -> str:
    """Write a message rule called news."""
    return rule("messages", "news", f'match = {match}\ntext = "{text}"\n{more}')


def incident(condition: str, name: str = "down") -> str:
    """Write an incident rule."""
    texts = f'text = "{name} {{{{ name }}}}"\nresolve_text = "up {{{{ name }}}}"'
    return rule("incidents", name, f"{condition}\n{texts}")


def event(state: str, **more: object) -> dict[str, object]:
    """Make an event of the service web of the stack shop."""
    told = {"type": "service", "action": "update", "state": state, "resource_uri": WEB}
    return {**told, "parents": [SHOP], "object": {"name": "web"}, **more}


def counts(running: int, target: int = 2) -> dict[str, object]:
    """Make the object of the service web."""
    return {"name": "web", "running_num_containers": running, "target_num_containers": target}


class ExplainTestCase(StoredFileTestCase):
    """Explains events, with a store or without one."""

    def run_it(self, rules: str, *arguments: str, given: str | None = None) -> Result:
        """Run the command."""
        set_environment(self, {"HOME": str(self.folder / "home"), **CREDENTIALS})
        file = self.folder / "watch.toml"
        head, _, tail = HEAD.partition("last_resort = false\n")
        file.write_text(f"last_resort = false\n{head}{tail}{rules}", encoding="utf-8")
        return CliRunner().invoke(cli, ["explain", "-c", str(file), *arguments], input=given)

    def explained(
        self, rules: str, *events: Mapping[str, object], store: bool = False
    ) -> list[str]:
        """Give the lines that explain events, without their indentation."""
        lines = "\n".join(map(json.dumps, events))
        arguments = ("-", "--store", self.path) if store else ("-",)
        result = self.run_it(rules, *arguments, given=lines)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        return [" ".join(line.split()) for line in result.stdout.splitlines()]

    def only(self, rules: str, told: Mapping[str, object], *, store: bool = False) -> list[str]:
        """Explain one event under one rule."""
        return self.explained(rules, told, store=store)[1:]

    def keep(
        self,
        *resources: Resource,
        messages: tuple[Message, ...] = (),
        records: dict[tuple[str, str], bytes] | None = None,
    ) -> None:
        """Let the store have these; the inventory is as it was after the messages."""
        decisions = Decisions(inputs=list(messages), records=dict(records or {}))
        self.result_of(self.store.commit(decisions, 5.0))
        self.result_of(self.store.checkpoint({r.key: r for r in resources}, 5.0))

    def shop(self) -> Resource:
        """Make the stack."""
        return Resource(
            ("main", "stack", "shop"),
            SHOP,
            "shop",
            "Running",
            parents=(),
            parents_complete=True,
            fields={},
        )


class MessageTests(ExplainTestCase):
    """What a message rule makes of an event."""

    def test_it_speaks(self) -> None:
        self.assertEqual(
            self.explained(message('{ type = "service" }'), event("Running")),
            [
                "service: service web running (update, new)",
                "news yes",
                "-> console: web Running",
            ],
        )

    def test_it_does_not(self) -> None:
        for match, why in (
            ('{ type = "service", state = "Stopped" }', 'state is "Running", not "Stopped"'),
            ('{ type = ["node", "stack"] }', 'type is "service", not "node" or "stack"'),
        ):
            self.assertEqual(self.only(message(match), event("Running")), [f"news no: {why}"])

    def test_what_would_be_looked_up(self) -> None:
        """To match, to know whether it is ignored, whom to tell, and what to say."""
        doubt = f"of {SHOP}: would look it up"
        lines = self.only(message('{ type = "service", stack.name = "shop" }'), event("Running"))
        self.assertEqual(
            lines,
            [
                f"news waits for look-ups: depends on stack.name {doubt}",
                "-> console: web Running",
            ],
        )
        rules = (
            '[[ignore]]\nmatch = { stack.name = "x" }\n'
            '[[routes]]\nmatch = { stack.name = "shop" }\nnews = ["ops"]\n'
            '[[routes]]\nnews = ["console"]\n'
            + message('{ type = "service" }', "{{ stack.name }}\\n2").replace('"console"', '"news"')
        )
        rules = rules.replace('news = ["news"]', 'news = ["console"]')
        self.assertEqual(
            self.only(rules, event("Running")),
            [
                "; ".join(
                    (
                        f"news waits for look-ups: may be ignored by ignore[1]: depends on stack.name {doubt}",
                        f"who is told depends on {SHOP}: would look it up",
                        f"its text depends on {SHOP}: would look it up",
                    )
                ),
                "-> ops: (unknown)",
                "2",
                "-> console: (unknown)",
                "2",
            ],
        )

    def test_what_the_store_knows_is_known(self) -> None:
        self.keep(self.shop())
        rules = message('{ type = "service" }', "{{ stack.name }}/{{ name }}")
        self.assertEqual(
            self.only(rules, event("Running"), store=True), ["news yes", "-> console: shop/web"]
        )
        fresh = message('{ type = "service" }', "{{ stack.name }}", 'fresh = ["stack"]')
        self.assertEqual(
            self.only(fresh, event("Running"), store=True), ["news yes", "-> console: shop"]
        )

    def test_what_is_ignored_or_withheld(self) -> None:
        rules = message('{ type = "service" }')
        ignore = '[[ignore]]\nmatch = { name = "web" }\n'
        self.assertEqual(
            self.only(ignore + rules, event("Running")),
            ["news ignored: ignored: ignore[1] matches"],
        )
        (line,) = self.only(rules + MUTES, event("Running"))
        self.assertIn(line, {"news withheld by am", "news withheld by pm"})
        silence = Silence("s1", [{"name": "web"}], 0.0, 9e9, "", "ann", 1.0)
        self.keep(records={(SILENCE, "s1"): encode(silence)})
        self.assertEqual(self.only(rules, event("Running"), store=True), ["news withheld by s1"])

    def test_too_much(self) -> None:
        rules = message('{ type = "service" }', more='cooldown = "5m"')
        lines = self.explained(rules, event("Running"), event("Stopped"))
        self.assertEqual(
            lines[-1],
            "news yes, and it rests: it spoke of this a moment ago: cooldown is 5 min 0 s",
        )
        rules = message('{ type = "service" }')
        lines = self.explained(f"{rules}", *([event("Running")] * 21))
        self.assertEqual(lines[-1], "news yes, and it is kept for a summary: there are too many")

    def test_nobody_to_tell(self) -> None:
        rules = '[[routes]]\nnews = ["pd"]\n[notifiers.pd]\nkind = "pagerduty"\nkey = "${NO}"\noptional = true\n'
        rules += message('{ type = "service" }').replace('"console"', '"news"')
        self.assertEqual(
            self.only(rules, event("Running")),
            ["news yes, and nobody is told: no notifier is on for it"],
        )

    def test_what_follows_from_it(self) -> None:
        """A failed action ends a deploy: of that the service's rule speaks."""
        rules = message('{ type = "service", deploy = "failed" }')
        action = {
            "type": "action",
            "state": "Failed",
            "resource_uri": "/api/v1/action/a/",
            "parents": [WEB],
        }
        lines = self.explained(rules, event("Redeploying"), action)
        self.assertEqual(
            lines[-2:],
            [
                'news no: type is "action", not "service"',
                "and: news: message to console: web Redeploying",
            ],
        )


class IncidentTests(ExplainTestCase):
    """What an incident rule makes of an event."""

    down = incident('while = { type = "service", health = "down" }\nfor = "2m"\nclear_for = "30s"')

    def test_it_is_so_or_not(self) -> None:
        self.assertEqual(
            self.only(self.down, event("Running", object=counts(2))),
            ['down no: health is "ok", not "down"'],
        )
        self.assertEqual(
            self.only(self.down, event("Running", object=counts(0))),
            ["down true; it opens in 2 min 0 s if it stays so", "-> console: down web"],
        )

    def test_on_and_on(self) -> None:
        """It opens, and is over, in its time."""
        self.keep(self.shop())
        lines = self.explained(
            self.down,
            event("Running", object=counts(0), at=0),
            event("Running", object=counts(2), at=60),
            event("Running", object=counts(0), at=70),
            event("Running", object=counts(0), at=200),
            event("Running", object=counts(2), at=210),
            event("Running", object=counts(0), at=300),
            store=True,
        )
        self.assertEqual(
            [line for line in lines if "service:" not in line],
            [
                "down true; it opens in 2 min 0 s if it stays so",
                "-> console: down web",
                'down not any more; forgotten in 30 s: health is "ok", not "down"',
                "down true; it opens in 50 s if it stays so",
                "-> console: down web",
                "after 2 min 0 s, meanwhile: down: trigger to console: down web",
                "down open already",
                'down open; it closes in 30 s if that lasts: health is "ok", not "down"',
                "after 4 min 0 s, meanwhile: down: resolve to console: up web",
                "down true; it opens in 2 min 0 s if it stays so",
                "-> console: down web",
            ],
        )

    def test_at_once(self) -> None:
        at_once = self.down.replace("2m", "0s").replace("30s", "0s")
        self.keep(self.shop())
        lines = self.explained(
            at_once,
            event("Running", object=counts(0)),
            event("Running", object=counts(2)),
            store=True,
        )
        self.assertEqual(
            [line for line in lines if "service:" not in line],
            [
                "down opens",
                "-> console (trigger): down web",
                'down over: health is "ok", not "down"',
                "-> console (resolve): up web",
            ],
        )

    def test_what_it_is_called_by_is_looked_up(self) -> None:
        at_once = self.down.replace("2m", "0s")
        (line, *_) = self.only(at_once, event("Running", object=counts(0)))
        self.assertEqual(
            line,
            f"down true; it opens once that is verified: that depends on {SHOP}: would look it up",
        )

    def test_what_an_event_does_not_carry_is_looked_up(self) -> None:
        """That the service is known by its name alone is no answer."""
        told = {**event("Running"), "object": None}
        self.assertEqual(
            self.only(message('{ type = "service", running = 0 }', "{{ state }}"), told),
            [
                f"news waits for look-ups: depends on running of {WEB}: would look it up",
                "-> console: Running",
            ],
        )

    def test_what_has_to_be_verified(self) -> None:
        at_once = self.down.replace("2m", "0s").replace("health", 'stack.name = "!x", health')
        self.keep()
        lines = self.only(at_once, event("Stopped"))
        self.assertEqual(
            lines,
            [
                f"down not known, which changes nothing: depends on stack.name of {SHOP}: would look it up"
            ],
        )

    def test_what_is_named_is_verified_first(self) -> None:
        at_once = self.down.replace("2m", "0s").replace("down {{", "{{ stack.name }} {{")
        lines = self.explained(
            at_once, event("Running", object=counts(0)), event("Running", object=counts(0), at=20)
        )
        self.assertEqual(
            lines[1:4],
            [
                f"down true; it opens once that is verified: that depends on {SHOP}: would look it up",
                "-> console: (unknown) web",
                "after 10 s, meanwhile: down: trigger to console: (unknown) web (unverified)",
            ],
        )

    def test_two_that_open_at_once(self) -> None:
        """Each has the stack of both looked up for itself."""
        self.keep(self.shop())
        rules = self.down.replace("down {{", "{{ stack.name }} {{")
        named = {**counts(0), "name": "api"}
        api = event("Running", resource_uri="/api/v1/service/api/", object=named, at=0)
        lines = self.explained(
            rules,
            event("Running", object=counts(0), at=0),
            api,
            event("Running", object=counts(0), at=200),
            store=True,
        )
        said = [line for line in lines if "meanwhile" in line]
        start = "after 2 min 0 s, meanwhile: down: trigger to console: shop"
        self.assertEqual(sorted(said), [f"{start} api", f"{start} web"])

    def test_what_is_gone(self) -> None:
        stacks = incident('while = { type = "service" }')
        gone = event("Terminated", action="delete", object=counts(0))
        self.assertEqual(self.only(stacks, gone), ["down no: it is gone"])

    def test_a_look_up_of_what_is_gone(self) -> None:
        """It is not there, which is known as well."""
        rules = message('{ type = "container" }', "{{ service.name }}", 'fresh = ["service"]')
        container = {
            "type": "container",
            "state": "Running",
            "resource_uri": "/api/v1/container/c/",
            "parents": [WEB],
        }
        lines = self.explained(rules, event("Terminated", action="delete"), container)
        self.assertEqual(lines[-1], "-> console: web (the service is gone)")

    def test_excuses(self) -> None:
        unless = self.down.replace("for =", 'unless = { deploy = "running" }\nfor =', 1)
        self.assertEqual(
            self.only(unless, event("Redeploying", object=counts(0))),
            ["down true, and excused by its unless"],
        )
        explained = self.down.replace("for =", 'unless_open = "lost"\nfor =', 1)
        lost = incident('while = { type = "stack" }\nfor = "0s"', "lost")
        self.keep(self.shop())
        lines = self.only(explained + lost, event("Running", object=counts(0)), store=True)
        self.assertEqual(
            lines,
            [
                "down true, and explained by 'lost/main/stack/shop'",
                'lost no: type is "service", not "stack"',
            ],
        )

    def test_withheld_ignored_dismissed(self) -> None:
        told = event("Running", object=counts(0))
        at_once = self.down.replace("2m", "0s")
        (line,) = self.only(at_once + MUTES, told)
        self.assertIn(line, {"down true, and withheld by am", "down true, and withheld by pm"})
        ignore = '[[ignore]]\nmatch = { name = "web" }\n'
        self.assertEqual(
            self.only(ignore + at_once, told), ["down ignored: ignored: ignore[1] matches"]
        )
        of = Resource(("main", "service", "web"), WEB, "web", "Stopped", fields={})
        name = ("down", of.key)
        gone = Member(name, ("down", "k"), Phase.DISMISSED, 1.0, change_of("c", None, of))
        self.keep(of, records={("member", json.dumps(name)): encode(gone)})
        self.assertEqual(
            self.only(self.down, told, store=True),
            ["down true, and closed by hand: it stays closed until it is over once"],
        )

    def test_counting(self) -> None:
        loop = incident(
            'each = { type = "container", ended = "failed" }\ntimes = 2\nwithin = "10m"', "loop"
        )
        loop = loop.replace("within", 'per = "service"\nwithin')
        uri = "/api/v1/container/c/"
        died = {
            "type": "container",
            "state": "Stopped",
            "resource_uri": uri,
            "parents": [WEB],
            "object": {"name": "c", "exit_code": 1},
        }
        runs = {**died, "state": "Running", "object": {"name": "c"}}
        self.keep(self.shop())
        lines = self.explained(loop, event("Running"), died, died, runs, died, store=True)
        said = [line for line in lines if line.startswith("loop") or "->" in line]
        self.assertEqual(said[1], "loop counted: 1 of 2 within 10 min 0 s")
        self.assertEqual(
            said[2], "loop matched, and not counted: it matched before, or waits for a look-up"
        )
        self.assertTrue(said[3].startswith("loop no: "), said)
        self.assertEqual(
            said[4:],
            ["loop opens; it closes in 1 min 0 s if that lasts", "-> console (trigger): loop c"],
        )

    def test_what_must_be_there(self) -> None:
        rules = incident('absent = { type = "stack", name = "shop" }\nfor = "1m"', "no shop")
        stack = {
            "type": "stack",
            "state": "Running",
            "resource_uri": SHOP,
            "object": {"name": "shop"},
        }
        lines = self.explained(rules, event("Running"), stack)
        self.assertTrue(lines[1].startswith("no shop true; it opens in 1 min 0 s"), lines)
        self.assertEqual(lines[-1], "no shop not any more; forgotten in 5 s")
        self.keep(self.shop())
        self.assertEqual(self.only(rules, stack, store=True), ["no shop no: it is there"])


class GivenTests(ExplainTestCase):
    """In which forms an event can be given."""

    rules = message('{ type = "service" }')

    def test_an_argument_a_file_and_standard_input(self) -> None:
        text = json.dumps(event("Running"))
        file = self.folder / "event.json"
        file.write_text(json.dumps(event("Running"), indent=2), encoding="utf-8")
        for arguments, given in (((text,), None), ((str(file),), None), (("-",), text)):
            result = self.run_it(self.rules, *arguments, given=given)
            self.assertEqual(result.exit_code, 0, result.output)
            self.assertEqual(
                result.stdout.splitlines()[0], "service: service web running (update, new)"
            )

    def test_which_stream(self) -> None:
        rules = message("{ }", "{{ stream }}")
        text = json.dumps(event("Running"))
        for option, name in ((), "main"), (("--stream", "lab"), "lab"):
            result = self.run_it(rules, text, *option)
            self.assertIn(f"console: {name}", result.stdout)
        result = self.run_it(rules, text, "--stream", "lob")
        self.assertEqual(result.exit_code, 2)
        self.assertIn("there is no stream 'lob' (did you mean 'lab'?)", result.stderr)
        result = self.run_it(rules, text, "--stream", "x")
        self.assertIn("there is no stream 'x'; there are: main, lab", result.stderr)

    def test_times_by_date(self) -> None:
        """Those that say none come with the one before; none comes before it."""
        lines = self.explained(
            self.rules,
            event("Running", date="2015-12-07T04:01:01+00:00"),
            event("Stopped", date="2015-12-07T04:02:01"),
            event("Running"),
            event("Stopped", date="2015-12-07T04:00:00+00:00"),
            event("Running", at=90),
        )
        self.assertEqual(
            [line.partition(",")[0] for line in lines if line.startswith("after")],
            [
                "after 0 s",
                "after 1 min 0 s",
                "after 1 min 0 s",
                "after 1 min 0 s",
                "after 1 min 30 s",
            ],
        )

    def test_what_is_no_event(self) -> None:
        for given, what in (
            ("", "-: there is no event in it; write one a line, as JSON"),
            ("hello", "line 1: expected an event such as"),
            ("[1]", "line 1: expected an event such as"),
            (
                '{"type": "a"}\n\n{"type": "b", "at": -1}',
                'line 3: "at" is in seconds from the start',
            ),
            ('{"type": "a"}\n{"type": "b", "at": true}', 'line 2: "at" is in seconds'),
            ('{"type": "a"}\n{"type": "b", "date": "soon"}', 'line 2: "date" is no date such as'),
            ('{"type": "a"}\n{"type": "b", "date": 7}', 'line 2: "date" is no date such as'),
        ):
            result = self.run_it(self.rules, "-", given=given)
            self.assertEqual((result.exit_code, result.stdout), (1, ""), given)
            self.assertIn(what, result.stderr)

    def test_what_is_not_taken(self) -> None:
        for told, what in (
            ({"state": "Running"}, "not taken: it is no event: "),
            ({"type": "stream"}, "not taken: the type 'stream' is not the platform's to tell"),
        ):
            (line,) = self.explained(self.rules, told)
            self.assertTrue(line.startswith(what), line)
        lines = self.explained(self.rules, event("Running", uuid="u"), event("Running", uuid="u"))
        self.assertEqual(lines[-1], "after 0 s, not taken: an event with the uuid 'u' came before")

    def test_files_that_cannot_be_read(self) -> None:
        file = self.folder / "event.bin"
        file.write_bytes(b"\xff\xfe\xff")
        for path, why in ((file, "it is not UTF-8"), (self.folder, "Is a directory")):
            result = self.run_it(self.rules, str(path))
            self.assertEqual(result.exit_code, 1)
            self.assertIn(f"cannot be read: {why}", result.stderr)

    def test_a_store_that_cannot_be_read(self) -> None:
        text = json.dumps(event("Running"))
        result = self.run_it(self.rules, text, "--store", str(self.folder / "none"))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("there is no store", result.stderr)


class KeptTests(ExplainTestCase):
    """An event that the watcher has taken, by its uuid or number."""

    rules = message('{ type = "service", changed = "state" }', "{{ before.state }} {{ state }}")

    def setUp(self) -> None:
        """Take three events; the service stopped in the end."""
        super().setUp()
        told = [
            event("Starting", uuid="e1"),
            event("Running", uuid="e2"),
            event("Stopped", uuid="e3"),
        ]
        messages = tuple(
            Message("main", number, json.dumps(one).encode(), 1_000.0 * number)
            for number, one in enumerate(told, 5)
        )
        garbage = Message("main", 8, b'"e9"', 8_000.0)
        web = Resource(("main", "service", "web"), WEB, "web", "Stopped", number=7, seen=7_000.0)
        self.keep(web, self.shop(), messages=(*messages, garbage))

    def test_it_is_seen_as_things_were_then(self) -> None:
        for wanted in ("e2", "6"):
            result = self.run_it(self.rules, wanted, "--store", self.path)
            self.assertEqual((result.exit_code, result.stderr), (0, ""))
            self.assertEqual(
                [" ".join(line.split()) for line in result.stdout.splitlines()],
                [
                    "event 6, which came at 1970-01-01T01:40:00Z",
                    "service: shop/web running, deployed in 16 min 40 s (update, changed)",
                    "news yes",
                    "-> console: Starting Running",
                ],
            )

    def test_what_is_not_there(self) -> None:
        for wanted in ("e9", "77", "x"):
            result = self.run_it(self.rules, wanted, "--store", self.path)
            self.assertEqual((result.exit_code, result.stdout), (1, ""))
            self.assertIn("is no file, no JSON, and no event in the journal of", result.stderr)
        result = self.run_it(self.rules, "x", "--store", str(Path(self.folder, "none")))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("'x' is no file and no JSON; and there is no store", result.stderr)
