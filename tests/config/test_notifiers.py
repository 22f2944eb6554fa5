"""Tests of the ``[notifiers.NAME]`` tables."""

from __future__ import annotations

from tests.config.cases import CREDENTIALS, LoadingTestCase
from tutumwatch.config.plans import NotifierPlan
from tutumwatch.notifiers.pagerduty import PagerDuty
from tutumwatch.notifiers.slack import Slack
from tutumwatch.secret import Secret

HOOK = "https://hooks.slack.com/services/T0/B0/w3bh00k"
KEY = "0123456789abcdef0123456789abcdef"
SLACK = '[notifiers.ops]\nkind = "slack"\nurl = "${SLACK_URL}"\n'
NO_URL = "expected a URL that begins with https:// (or http://) and names a host"
HIDDEN_FORMS = (HOOK, "w3bh00k", KEY)


class NotifiersTestCase(LoadingTestCase):
    """Loads notifiers beside a stream."""

    def plans(self, text: str, **variables: str) -> list[NotifierPlan]:
        """Load notifiers."""
        return list(self.load(f"[streams.main]\n{text}", **CREDENTIALS, **variables).notifiers)

    def wrong(self, text: str, **variables: str) -> list[str]:
        """Give the mistakes in the tables of notifiers; the first line is 1, and none leaks."""
        found = self.mistakes(f"{text}\n[streams.main]\n", **CREDENTIALS, **variables)
        self.assertEqual([m for m in found for secret in HIDDEN_FORMS if secret in m], [])
        return found


class OnTests(NotifiersTestCase):
    """A notifier that is on."""

    def test_each_kind(self) -> None:
        text = f"""\
[notifiers.a]
kind = "console"
[notifiers.b]
kind = "slack"
url = "{HOOK}"
[notifiers.c]
kind = "pagerduty"
key = "{KEY}"
"""
        plans = self.plans(text)
        self.assertEqual(
            [(p.name, p.kind.name) for p in plans],
            [("a", "console"), ("b", "slack"), ("c", "pagerduty")],
        )
        self.assertEqual(plans[1].notifier, Slack(Secret(HOOK)))
        pagerduty = PagerDuty(
            Secret(KEY), "v2", "https://events.pagerduty.com", "tutumwatch", details=True
        )
        self.assertEqual(plans[2].notifier, pagerduty)
        for secret in HIDDEN_FORMS:
            self.assertNotIn(secret, repr(plans))

    def test_a_credential_from_a_variable_or_a_file(self) -> None:
        path = self.write(f"{HOOK}\n")
        for url, variables in (
            ("${SLACK_URL}", {"SLACK_URL": HOOK}),
            ("${SLACK_URL}", {"SLACK_URL_FILE": path}),
            (f"file:{path}", {}),
            ("https://hooks.slack.com/services/${PATH_ONLY}", {"PATH_ONLY": "T0/B0/w3bh00k"}),
        ):
            (plan,) = self.plans(f'[notifiers.ops]\nkind = "slack"\nurl = "{url}"\n', **variables)
            self.assertEqual(plan.notifier, Slack(Secret(HOOK)))

    def test_the_pace_may_be_set(self) -> None:
        text = f'{SLACK}batch = 5\nrate = 2\nburst = 3\nconcurrency = 4\nretry_after = "notice"\ngive_up_after = "1h"\n'
        (plan,) = self.plans(text, SLACK_URL=HOOK)
        pace = plan.pace
        self.assertEqual((pace.batch_count, pace.rate_per_second, pace.burst_count), (5, 2.0, 3))
        self.assertEqual(pace.concurrency_count, 4)
        self.assertEqual((pace.retry_after, pace.give_up_after_seconds), ("notice", 3600.0))


class OffTests(NotifiersTestCase):
    """``optional = true``: a variable that is not set means off, and the reason is kept."""

    def test_a_variable_that_is_not_set(self) -> None:
        for variables in ({}, {"SLACK_URL": ""}):
            text = f"[streams.main]\n{SLACK}optional = true\n"
            configuration = self.load(text, **CREDENTIALS, **variables)
            self.assertEqual(configuration.notifiers, ())
            self.assertEqual(dict(configuration.off), {"ops": "SLACK_URL is not set"})

    def test_a_rule_may_name_one_that_is_off(self) -> None:
        rule = '[[messages]]\nname = "all"\nmatch = {}\nnotify = ["ops"]\n'
        configuration = self.load(f"[streams.main]\n{SLACK}optional = true\n{rule}")
        self.assertEqual(dict(configuration.rules.messages[0].texts), {})

    def test_one_whose_variables_are_set_is_on(self) -> None:
        (plan,) = self.plans(f"{SLACK}optional = true\n", SLACK_URL=HOOK)
        self.assertEqual(plan.name, "ops")

    def test_off_hides_no_mistake(self) -> None:
        text = f"{SLACK}optional = true\nbatch = true\ncolour = 1\n"
        mistakes = self.wrong(text)
        self.assertEqual(
            mistakes[0], "5: notifiers.ops.batch: expected a whole number, got true or false"
        )
        self.assertTrue(mistakes[1].startswith("6: notifiers.ops.colour: there is no such key; "))
        self.assertEqual(len(mistakes), 2)

    def test_off_hides_no_missing_key(self) -> None:
        text = '[notifiers.ops]\nkind = "pagerduty"\nhost = "${PAGERDUTY_URL}"\noptional = true\n'
        self.assertEqual(self.wrong(text), ["1: notifiers.ops: the key 'key' is missing"])

    def test_a_secret_file_that_is_missing_is_a_mistake_all_the_same(self) -> None:
        text = f"{SLACK}optional = true\n"
        self.assertEqual(
            self.wrong(text, SLACK_URL_FILE="/nowhere/url"),
            [
                (
                    "3: notifiers.ops.url: SLACK_URL_FILE: cannot read '/nowhere/url': "
                    "No such file or directory (it comes from SLACK_URL)"
                )
            ],
        )

    def test_without_optional_it_is_a_mistake(self) -> None:
        for more in ("", "optional = false\n"):
            self.assertEqual(
                self.wrong(SLACK + more),
                [
                    (
                        "3: notifiers.ops.url: SLACK_URL is not set, nor SLACK_URL_FILE; set one, or "
                        "write ${SLACK_URL:-default}, or optional = true to do without"
                    )
                ],
            )

    def test_optional_must_be_true_itself(self) -> None:
        self.assertEqual(
            self.wrong(f'{SLACK}optional = "true"\n'),
            [
                (
                    "3: notifiers.ops.url: SLACK_URL is not set, nor SLACK_URL_FILE; set one, or "
                    "write ${SLACK_URL:-default}, or optional = true to do without"
                ),
                "4: notifiers.ops.optional: expected true or false, got a text",
            ],
        )


class MistakesTests(NotifiersTestCase):
    """What is wrong is told at its key."""

    def test_kinds(self) -> None:
        known = "known are console, pagerduty, slack"
        for line, said in (
            ("", f"1: notifiers.ops: the key 'kind' is missing; {known}"),
            ("kind = 5", "2: notifiers.ops.kind: expected a text in quotes, got a number"),
            (
                'kind = "slak"',
                f"2: notifiers.ops.kind: 'slak' is no kind of notifier (did you mean 'slack'?); {known}",
            ),
            ('kind = "fax"', f"2: notifiers.ops.kind: 'fax' is no kind of notifier; {known}"),
        ):
            self.assertEqual(self.wrong(f"[notifiers.ops]\n{line}"), [said])

    def test_a_url(self) -> None:
        self.assertEqual(
            self.wrong(SLACK, SLACK_URL=HOOK.removeprefix("https://")),
            [f"3: notifiers.ops.url: {NO_URL} (it comes from SLACK_URL)"],
        )
        self.assertEqual(
            self.wrong('[notifiers.ops]\nkind = "slack"\nurl = "w3bh00k"\n'),
            [f"3: notifiers.ops.url: {NO_URL}"],
        )

    def test_a_key_of_the_wrong_length(self) -> None:
        table = '[notifiers.pd]\nkind = "pagerduty"\n'
        self.assertEqual(
            self.wrong(f'{table}key = "{KEY}x"\n'),
            ["3: notifiers.pd.key: an integration key has 32 characters, this one 33"],
        )
        (plan,) = self.plans(f'{table}api = "v1"\nkey = "any length"\n')
        self.assertEqual(plan.name, "pd")
        self.assertEqual(
            self.wrong(f'{table}api = "v3"\nkey = "any length"\n'),
            ["3: notifiers.pd.api: expected 'v1' or 'v2', got 'v3'"],
        )

    def test_no_mistake_of_a_table_hides_another(self) -> None:
        text = '[notifiers.pd]\nkind = "pagerduty"\nkey = "x"\nbatch = 0\nca_file = "/nowhere"\nrates = 1\n'
        mistakes = self.wrong(text)
        self.assertEqual([m.partition(" ")[0] for m in mistakes], ["3:", "4:", "5:", "6:"])
        self.assertEqual(mistakes[1], "4: notifiers.pd.batch: must be at least 1")

    def test_a_rate_that_is_no_number(self) -> None:
        for rate in ("nan", "inf", "true", '"1"'):
            (mistake,) = self.wrong(f"{SLACK}rate = {rate}\n", SLACK_URL=HOOK)
            self.assertTrue(mistake.startswith("4: notifiers.ops.rate: expected a finite number"))

    def test_a_variable_that_is_misspelled(self) -> None:
        self.assertEqual(
            self.wrong('[notifiers.ops]\nkind = "slack"\nurl = "${SLACK_URL"\n', SLACK_URL=HOOK),
            ['3: notifiers.ops.url: "${" begins a variable; write ${NAME} or ${NAME:-default}'],
        )

    def test_a_variable_and_its_file(self) -> None:
        self.assertEqual(
            self.wrong(SLACK, SLACK_URL=HOOK, SLACK_URL_FILE="/x"),
            [
                (
                    "3: notifiers.ops.url: SLACK_URL and SLACK_URL_FILE are both set; "
                    "unset one of them (it comes from SLACK_URL)"
                )
            ],
        )
