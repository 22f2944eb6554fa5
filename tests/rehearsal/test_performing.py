"""Tests of performing a test: its events become what they would be live, at exact times."""

from __future__ import annotations

from tests.rehearsal.cases import RehearsalTestCase

NEWS = """
[[messages]]
name = "news"
match = { changed = "state" }
notify = "console"
text = "{{ stack.name }}/{{ name }} {{ state }} {{ kind }}{{ ' late' if late }}"
"""
DOWN = """
[[incidents]]
name = "down"
while = { type = "service", health = "down" }
for = "2m"
clear_for = "30s"
notify = "pd"
text = "down {{ name }} {{ running }}/{{ target }}"
resolve_text = "up {{ name }}"
"""
SHOP = """
resources = [
  { type = "stack", name = "shop" },
  { type = "service", name = "web", stack = "shop", running = 2, target = 2 },
]
"""


class EventsTests(RehearsalTestCase):
    """What events come to."""

    def test_nothing_is_said_of_the_start(self) -> None:
        """Not even that what an empty store cannot know of is over."""
        self.assertEqual(self.said(NEWS + DOWN, SHOP), [])

    def test_what_is_broken_at_the_start(self) -> None:
        test = SHOP.replace("running = 2", "running = 0")
        self.assertEqual(self.said(NEWS + DOWN, test), [(120.0, "trigger", "down web 0/2")])
        at_once = DOWN.replace('"2m"', '"0s"')
        self.assertEqual(self.said(NEWS + at_once, test), [(0.0, "trigger", "down web 0/2")])

    def test_an_event_changes_what_it_tells(self) -> None:
        test = f"""{SHOP}
steps = [
  {{ at = "10s", type = "service", name = "web", running = 0 }},
  {{ at = "3m", type = "service", name = "web", state = "Stopped" }},
  {{ at = "4m", type = "service", name = "web", state = "Running", running = 2 }},
]
"""
        self.assertEqual(
            self.said(NEWS + DOWN, test),
            [
                (130.0, "trigger", "down web 0/2"),
                (180.0, "message", "shop/web Stopped changed"),
                (240.0, "message", "shop/web Running changed"),
                (270.0, "resolve", "up web"),
            ],
        )

    def test_what_is_new_and_what_goes(self) -> None:
        rules = NEWS.replace('changed = "state"', 'type = "service", kind = ["new", "gone"]')
        test = f"""{SHOP}
steps = [
  {{ at = "1s", type = "service", name = "db", stack = "shop", state = "Starting" }},
  {{ at = "2s", type = "service", name = "db", action = "delete" }},
]
"""
        self.assertEqual(
            [(at, text) for at, _, text in self.said(rules, test)],
            [(1.0, "shop/db Starting new"), (2.0, "shop/db Starting gone")],
        )

    def test_a_bare_event_has_its_details_looked_up(self) -> None:
        step = '{ at = "1s", type = "service", name = "web", state = "Stopped", bare = true }'
        test = f"{SHOP}\nsteps = [{step}]"
        self.assertEqual(self.said(NEWS, test), [(1.0, "message", "shop/web Stopped changed")])
        new = step.replace("web", "db").replace('"Stopped"', '"Stopped", stack = "shop"')
        self.assertEqual(
            self.said(NEWS, f"{SHOP}\nsteps = [{new}]"),
            [(1.0, "message", "shop/db Stopped new")],
        )

    def test_look_ups_that_nobody_answers(self) -> None:
        """Until they are answered again; what was to be said is said, marked."""
        new = '{ at = "2s", type = "service", name = "db", state = "Stopped", bare = true }'
        test = f'{SHOP}\nsteps = [{{ at = "1s", rest = "down" }}, {new}]'
        (said,) = self.said(NEWS, test)
        self.assertEqual(said[1:], ("message", "/(unknown) Stopped new (details unknown)"))
        test = test.replace("2s", "3s").replace('"down" }', '"down" }, { at = "2s", rest = "up" }')
        self.assertEqual(self.said(NEWS, test), [(3.0, "message", "/db Stopped new")])

    def test_a_container_has_the_stack_of_its_service(self) -> None:
        rules = NEWS.replace("{{ name }}", "{{ service.name }}/{{ name }}@{{ nodecluster.name }}")
        test = f"""{SHOP.rstrip().rstrip("]")}
  {{ type = "nodecluster", name = "east" }},
  {{ type = "node", name = "n1", nodecluster = "east" }},
  {{ type = "container", name = "web-1", service = "web", node = "n1" }},
]
steps = [{{ at = "1s", type = "container", name = "web-1", state = "Stopped", exit_code = 1 }},
  {{ at = "2s", type = "container", name = "web-2", service = "web", node = "n1", state = "Running", bare = true }}]
"""
        self.assertEqual(
            [text for _, _, text in self.said(rules, test)],
            ["shop/web/web-1@east Stopped changed", "shop/web/web-2@east Running new"],
        )

    def test_actions(self) -> None:
        """A failed one ends the deploy of its service."""
        rules = NEWS.replace('changed = "state"', 'type = "service", deploy = "failed"')
        test = f"""{SHOP}
steps = [
  {{ at = "1s", type = "service", name = "web", state = "Redeploying" }},
  {{ at = "2s", type = "action", name = "redeploy", service = "web", state = "Failed" }},
]
"""
        self.assertEqual([at for at, _, _ in self.said(rules, test)], [2.0])


class ConnectionsTests(RehearsalTestCase):
    """Our own connections."""

    def test_while_a_stream_is_away_nothing_is_seen(self) -> None:
        """The listing after it finds what is different, and who is gone."""
        rules = NEWS.replace('changed = "state"', 'type = ["service", "container", "stream"]')
        test = f"""{SHOP.rstrip().rstrip("]")}
  {{ type = "container", name = "old" }},
]
steps = [
  {{ at = "1m", stream = "main", state = "Disconnected", reason = "closed" }},
  {{ at = "2m", type = "service", name = "web", state = "Stopped" }},
  {{ at = "2m", type = "container", name = "old", action = "delete" }},
  {{ at = "3m", stream = "main", state = "Connected" }},
]
"""
        self.assertEqual(
            [(at, text.strip("/")) for at, _, text in self.said(rules, test)],
            [
                (60.0, "main Disconnected changed"),
                (180.0, "main Connected changed"),
                (180.0, "shop/web Stopped changed late (late)"),
                (180.0, "old Running gone late (late)"),
            ],
        )

    def test_a_failed_action_that_was_not_seen(self) -> None:
        rules = NEWS.replace('changed = "state"', 'type = "action"')
        test = f"""{SHOP}
steps = [
  {{ at = "1m", type = "action", name = "seen", service = "web", state = "In progress" }},
  {{ at = "2m", stream = "main", state = "Disconnected" }},
  {{ at = "3m", type = "action", name = "unseen", service = "web", state = "In progress" }},
  {{ at = "4m", stream = "main", state = "Connected" }},
]
"""
        told = [(at, text) for at, _, text in self.said(rules, test)]
        self.assertEqual([at for at, _ in told], [60.0, 240.0])
        self.assertIn("unseen", told[1][1])

    def test_a_listing_waits_for_the_platform(self) -> None:
        test = f"""{SHOP}
steps = [
  {{ at = "1m", stream = "main", state = "Disconnected" }},
  {{ at = "1m", rest = "down" }},
  {{ at = "2m", type = "service", name = "web", state = "Stopped" }},
  {{ at = "3m", stream = "main", state = "Connected" }},
  {{ at = "4m", rest = "up" }},
]
"""
        rules = NEWS.replace('changed = "state"', 'type = "service"')
        self.assertEqual([at for at, _, _ in self.said(rules, test)], [240.0])

    def test_a_notifier(self) -> None:
        rules = '[[messages]]\nname = "x"\nmatch = { type = "notifier" }\nnotify = "console"\n'
        test = 'steps = [{ at = "1m", notifier = "pd", state = "Failing", reason = "503" }]'
        ((at, _, text), (later, form, _)) = self.said(rules, test)
        self.assertEqual((at, later, form), (60.0, 360.0, "trigger"))
        self.assertIn("503", text)

    def test_two_streams(self) -> None:
        self.head += '[streams.lab]\nurl = "ws://127.0.0.1:9/v1/events"\n'
        rules = NEWS.replace("{{ name }}", "{{ stream }} {{ name }}")
        test = """
resources = [{ type = "service", name = "web" }, { type = "service", name = "web", stream = "lab" }]
steps = [
  { at = "1s", type = "service", name = "web", stream = "lab", state = "Stopped" },
  { at = "2s", type = "service", name = "web", state = "Stopped" },
]
"""
        self.assertEqual(
            [text for _, _, text in self.said(rules, test)],
            ["/lab web Stopped changed", "/main web Stopped changed"],
        )


class TimeTests(RehearsalTestCase):
    """The time is that of the test."""

    def test_mutes_hold_at_their_time(self) -> None:
        mute = '[[mutes]]\nname = "m"\nmatch = { type = "service" }\nfrom = "02:00"\nto = "04:00"\ntz = "Europe/Berlin"\n'
        down = SHOP.replace("running = 2", "running = 0")
        for begins, at in (
            ("2026-11-24T01:30:00+01:00", 120.0),
            ("2026-11-24T02:30:00+01:00", 5400.0),
        ):
            test = f'begins = "{begins}"\nuntil = "3h"\n{down}'
            self.assertEqual([said[0] for said in self.said(DOWN + mute, test)], [at])

    def test_what_is_due_at_the_end_is_done(self) -> None:
        down = SHOP.replace("running = 2", "running = 0")
        self.assertEqual(len(self.said(DOWN, f'until = "2m"\n{down}')), 1)
        self.assertEqual(self.said(DOWN, f'until = "119s"\n{down}'), [])

    def test_a_step_comes_before_what_is_due_at_its_time(self) -> None:
        down = SHOP.replace("running = 2", "running = 0")
        step = '{ at = "2m", type = "service", name = "web", running = 2 }'
        self.assertEqual(self.said(DOWN, f"{down}\nsteps = [{step}]"), [])

    def test_what_cannot_be_computed_is_told(self) -> None:
        rules = NEWS.replace("notify", 'when = "1 // (running - 7) != 9"\nnotify')
        test = f'{SHOP.replace("running = 2", "running = 7")}\nsteps = [{{ at = "1s", type = "service", name = "web", state = "Stopped" }}]'
        (rejected,) = self.performed(rules, test).rejected
        self.assertIn("rule 'news'", rejected)
