"""Tests of silences as a person asks for them, against a real decider and store."""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed
from twisted.logger import formatEvent

from tests.control.cases import CommandsTestCase
from tests.rules.silenced import DAY, HOUR, WEB, WEB_1, mute, resource, rules, said, shop
from tutumwatch.control.silencing import (
    LOOKED_AT_ONCE_COUNT,
    NAMES_MAX_COUNT,
    NOT_TAKEN,
    NOTHING_NAMED,
    SHOWN_MAX_COUNT,
    SILENCES_MAX_COUNT,
)
from tutumwatch.control.wire import (
    AskSilence,
    AskSilences,
    AskUnsilence,
    KnownSilence,
    NamedFate,
    Reach,
    Reply,
    decode_reply,
    encode_line,
)
from tutumwatch.events.inputs import Input, Silence, Unsilence
from tutumwatch.inventory.resource import Change, ChangeKind
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.members import MEMBER, Member, Phase, encode, record_of
from tutumwatch.rules.said import SAID_MAX_COUNT

Match: TypeAlias = tuple[dict[str, Any], ...]

OF_WEB: Match = ({"service.name": "web"},)
NO_RULE = "there is no rule of such a name, so it withholds nothing; the rules are service down"
NOTHING = "it matches nothing that is known at present"


class SilencingTestCase(CommandsTestCase):
    """Gives each test a shop that is watched, with one rule, at noon of a Thursday."""

    now = 1_795_694_400.0
    is_deaf = False

    def setUp(self) -> None:
        """Know the shop."""
        super().setUp()
        self.decider.rules = rules()
        self.decider.inventory.restore(shop().resources())

    def carry_out(self, item: Input) -> Deferred[Decisions]:
        """Decide it, unless what is decided is to come to nothing."""
        return succeed(Decisions()) if self.is_deaf else super().carry_out(item)

    def reply(self, question: AskSilence | AskUnsilence | AskSilences) -> Reply:
        """Ask, and read the answer as the command line does."""
        reply = self.result_of(self.commands.do(question))
        return decode_reply(encode_line(reply))

    def ask(
        self,
        match: Match = OF_WEB,
        *,
        starts: float | None = None,
        ends: float | None = None,
        lasts: float | None = None,
        preview: bool = False,
    ) -> Reply:
        """Ask for a silence, for two hours if nothing else is said."""
        if ends is None and lasts is None:
            lasts = 2 * HOUR
        question = AskSilence(match, starts, ends, lasts, "deploy", "ann", preview)
        return self.reply(question)

    def reach(self, match: Match = OF_WEB) -> Reach:
        """Ask what a silence would mean."""
        reach = self.ask(match, preview=True).reach
        assert reach is not None
        return reach


class AddTests(SilencingTestCase):
    """A silence is made."""

    def test_it_holds_from_now_on(self) -> None:
        reply = self.ask()
        ends = self.now + 2 * HOUR
        known = KnownSilence(
            "beef01", "active", [OF_WEB[0]], self.now, ends, comment="deploy", by="ann"
        )
        self.assertEqual((reply.error, reply.silence), ("", known))
        self.assertEqual(
            self.carried,
            [Silence("beef01", [OF_WEB[0]], self.now, ends, "deploy", "ann", self.now)],
        )
        self.assertEqual(self.decider.silences.ends_at("beef01", self.now), ends)
        (event,) = [e for e in self.log.events if "control" in e["log_namespace"]]
        self.assertEqual(
            formatEvent(event),
            "silence beef01 made by ann, for 7200 s: [{'service.name': 'web'}] (deploy)",
        )

    def test_times(self) -> None:
        now = self.now
        for starts, ends, lasts, expected in (
            (None, now + 60, None, (now, now + 60)),
            (now + 30, now + 60, None, (now + 30, now + 60)),
            (now + 30, None, 60.0, (now + 30, now + 90)),
            (now - 30, None, 60.0, (now, now + 60)),
        ):
            silence = self.ask(starts=starts, ends=ends, lasts=lasts).silence
            assert silence is not None
            self.assertEqual((silence.starts, silence.ends), expected)
            self.assertEqual(silence.state, "active" if expected[0] == now else "pending")

    def test_what_cannot_be(self) -> None:
        now = self.now
        for reply, error in (
            (self.ask(()), NOTHING_NAMED),
            (self.ask(({"name": "web"}, {})), NOTHING_NAMED),
            (self.ask(({"servce.name": "web"},)), "servce.name: 'servce.name' is no known field"),
            (self.ask(({"changed": "state"},)), "changed: is told of an event"),
            (self.ask(ends=now + 60, lasts=60.0), "say either for how long, or until when"),
            (self.reply(AskSilence(OF_WEB)), "say either for how long, or until when"),
            (self.ask(ends=now), "it would be over already"),
            (self.ask(lasts=-5.0), "it would be over already"),
            (self.ask(starts=now + 60, ends=now + 60), "it would end before it starts"),
            (self.ask(lasts=367 * DAY), "a silence may last a year"),
        ):
            self.assertTrue(reply.error.startswith(error), reply.error)
        self.assertEqual(self.carried, [])

    def test_an_id_is_nobody_elses(self) -> None:
        self.decider.silences.use([mute("beef01")], self.now)
        self.ids = iter(["beef01", "5eaf00", "5eaf00", "c0ffee"])
        for expected in ("5eaf00", "c0ffee"):
            silence = self.ask().silence
            assert silence is not None
            self.assertEqual(silence.name, expected)

    def test_no_more_than_so_many(self) -> None:
        for number in range(SILENCES_MAX_COUNT):
            one = Silence(f"s{number}", [{"name": "x"}], 0.0, self.now + 60, "", "", 0.0)
            self.decider.silences.add(one)
        self.assertIn("there are 1000 silences already", self.ask().error)
        self.assertEqual(self.ask(preview=True).error, "")

    def test_one_that_is_not_taken(self) -> None:
        self.is_deaf = True
        self.assertEqual(self.ask().error, NOT_TAKEN)

    def test_only_to_see(self) -> None:
        reply = self.ask(preview=True)
        self.assertIsNotNone(reply.silence)
        self.assertEqual((self.carried, list(self.decider.silences)), ([], []))


class ReachTests(SilencingTestCase):
    """What a silence is about, and would have withheld."""

    def test_what_matches_at_present(self) -> None:
        reach = self.reach()
        self.assertEqual(
            (reach.matching_count, reach.names, reach.warnings),
            (2, ("service shop/web", "container web-1"), ()),
        )

    def test_what_is_gone_does_not(self) -> None:
        self.decider.inventory.restore([replace(WEB_1, gone_at=self.now)])
        self.assertEqual(self.reach().names, ("service shop/web",))

    def test_many(self) -> None:
        """Events are taken in between."""
        containers = [
            resource("container", f"x{number}", f"many-{number}")
            for number in range(2 * LOOKED_AT_ONCE_COUNT)
        ]
        self.decider.inventory.restore(containers)
        question = AskSilence(({"name": "many-*"},), lasts=60.0, preview=True)
        asked = Deferred.fromCoroutine(self.commands.do(question))
        self.assertNoResult(asked)
        self.clock.advance(0.0)
        reach = self.successResultOf(asked).reach
        assert reach is not None
        self.assertEqual(reach.matching_count, len(containers))
        self.assertEqual(len(reach.names or ()), NAMES_MAX_COUNT)

    def test_warnings(self) -> None:
        cases: tuple[tuple[Match, float, tuple[str, ...]], ...] = (
            (({"name": "nobody"},), HOUR, (NOTHING,)),
            (({"rule": "crash loop"},), HOUR, (NO_RULE,)),
            (({"rule": "crash loop"}, {"name": "web"}), HOUR, ()),
            (({"rule": "service*"},), HOUR, ()),
            (OF_WEB, 7 * DAY, ()),
            (OF_WEB, 8 * DAY, ("it lasts 8 days, and may well be forgotten",)),
        )
        for match, lasts, warnings in cases:
            reach = self.ask(match, lasts=lasts).reach
            assert reach is not None
            self.assertEqual(reach.warnings, warnings, match)

    def test_any_resource(self) -> None:
        reach = self.reach(({"rule": "service down"},))
        self.assertEqual((reach.matching_count, reach.names), (0, None))

    def say(self, rule: str, ago: float, uri: str = WEB.uri, notifier: str = "ops") -> None:
        """Have something said of a service, some time ago."""
        notice = said(
            rule, notifier, stream="main", type="service", resource_uri=uri, state="Stopped"
        )
        self.decider.silences.note([notice], self.now - ago)

    def test_what_it_would_have_withheld(self) -> None:
        self.say("service down", 25 * HOUR)
        self.say("service down", 23 * HOUR)
        self.say("news", 60.0, notifier="slack")
        self.say("news", 50.0, "/api/v1/service/s9/")
        reach = self.reach()
        self.assertEqual(
            (reach.said_count, reach.unsure_count, reach.by_rule, reach.since),
            (3, 1, {"service down": 1, "news": 1}, self.now - DAY),
        )
        last = reach.withheld[-1]
        self.assertEqual(
            (last.at, last.rule, last.text, last.notifiers),
            (self.now - 60.0, "news", "news to slack", ("slack",)),
        )

    def test_the_last_ones_of_many(self) -> None:
        for number in range(SHOWN_MAX_COUNT + 5):
            self.say(f"rule {number}", 100.0 - number)
        reach = self.reach()
        self.assertEqual(len(reach.by_rule), SHOWN_MAX_COUNT + 5)
        self.assertEqual(len(reach.withheld), SHOWN_MAX_COUNT)
        self.assertEqual(reach.withheld[-1].rule, f"rule {SHOWN_MAX_COUNT + 4}")

    def test_since_when_if_older_ones_had_to_go(self) -> None:
        for number in range(SAID_MAX_COUNT + 1):
            self.say("news", 5_000.0 - number)
        self.assertEqual(self.reach().since, self.now - 4_999.0)
        self.now += 2 * DAY
        self.assertEqual(self.reach().since, self.now - DAY)


class EndTests(SilencingTestCase):
    """Silences are ended."""

    def end(self, *names: str) -> list[NamedFate]:
        """Ask for it."""
        return list(self.reply(AskUnsilence(names)).named_fates)

    def test_each_as_it_was(self) -> None:
        self.decider.silences.use([mute()], self.now)
        self.ask()
        self.ask(starts=self.now + 60)
        self.assertEqual(
            self.end("beef01", "5eaf00", "beef01", "nights", "x"),
            [
                NamedFate("beef01", "removed; it was active", done=True),
                NamedFate("5eaf00", "removed; it was pending", done=True),
                NamedFate("nights", "is a mute: it stands in the configuration", done=False),
                NamedFate("x", "is no silence; `silence list` names them", done=False),
            ],
        )
        self.assertEqual(self.carried[-1], Unsilence("5eaf00", self.now))
        self.assertEqual(list(self.decider.silences), [])
        (event, _) = [e for e in self.log.events if "ended by hand" in e["log_format"]]
        self.assertEqual((event["name"], event["state"]), ("beef01", "active"))

    def test_one_that_is_over(self) -> None:
        self.ask()
        self.now += 3 * HOUR
        self.assertEqual(self.end("beef01")[0].became, "removed; it was expired")

    def test_one_that_is_not_taken(self) -> None:
        self.ask()
        self.is_deaf = True
        self.assertEqual(self.end("beef01"), [NamedFate("beef01", NOT_TAKEN, done=False)])


class ListTests(SilencingTestCase):
    """What there is."""

    def test_silences_and_mutes(self) -> None:
        midnight = self.now - 12 * HOUR
        self.decider.silences.use([mute(), mute("noon", begin="11:00", end="13:00")], self.now)
        self.ask()
        self.ask(starts=self.now + 60)
        silences = self.reply(AskSilences()).silences
        self.assertEqual(
            [(s.name, s.state, s.starts, s.ends, s.is_mute) for s in silences],
            [
                ("beef01", "active", self.now, self.now + 2 * HOUR, False),
                ("5eaf00", "pending", self.now + 60, self.now + 60 + 2 * HOUR, False),
                ("nights", "pending", midnight + 22 * HOUR, midnight + 30 * HOUR, True),
                ("noon", "active", midnight + 11 * HOUR, midnight + 13 * HOUR, True),
            ],
        )
        self.assertEqual(silences[2].match, {"type": "node"})
        self.now += 3 * HOUR
        self.assertEqual(self.reply(AskSilences()).silences[0].state, "expired")

    def test_incidents_that_each_withholds(self) -> None:
        """Two members of one incident are one; what is open is withheld no more."""
        self.decider.silences.use([mute("noon", begin="11:00", end="13:00")], self.now)
        self.ask()
        records = {}
        for uuid, incident, by, phase in (
            ("s1", "a", "beef01", Phase.PENDING),
            ("s2", "a", "beef01", Phase.PENDING),
            ("s3", "b", "beef01", Phase.PENDING),
            ("s4", "c", "beef01", Phase.OPEN),
            ("s5", "d", "noon", Phase.PENDING),
            ("s6", "e", None, Phase.PENDING),
        ):
            name = ("service down", ("main", "service", uuid))
            change = Change("e1", ChangeKind.SAME, WEB, WEB, frozenset(), self.now)
            member = Member(
                name, ("service down", incident), phase, self.now, change, withheld_by=by
            )
            records[record_of(MEMBER, *name)] = encode(member)
        self.decider.incidents.keeping.restore(records, self.now)
        counts = {s.name: s.withheld_count for s in self.reply(AskSilences()).silences}
        self.assertEqual(counts, {"beef01": 2, "noon": 1})
