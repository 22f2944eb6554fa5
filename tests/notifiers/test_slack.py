"""Tests of the Slack webhook: the bytes that are sent, and how every answer is read."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.notifiers.cases import ALL_STATUSES, answer, notice
from tutumwatch.notifiers.outcomes import (
    Delivered,
    GiveUp,
    Outcome,
    Park,
    Reason,
    RetryLater,
    Smaller,
)
from tutumwatch.notifiers.slack import (
    KIND,
    PACE,
    Slack,
    SlackSettings,
    cut_escaped,
    escape_mrkdwn,
    make_slack,
)
from tutumwatch.notifiers.statuses import judge_status
from tutumwatch.rules.notice import Notice
from tutumwatch.secret import Secret

URL = "https://hooks.slack.example/services/T000/B000/S3cretS3cret"
SLACK = Slack(Secret(URL))
# Every body of an error that Slack's documents or public reports name, with its status.
PAYLOAD_ERRORS = {
    "invalid_payload": 400,
    "invalid_blocks": 400,
    "missing_text_or_fallback_or_attachments": 400,
    "no_text": 400,
    "too_many_attachments": 400,
}
TARGET_ERRORS = {
    "user_not_found": 400,
    "action_prohibited": 403,
    "posting_to_general_channel_denied": 403,
    "invalid_token": 403,
    "team_disabled": 403,
    "channel_not_found": 404,
    "no_active_hooks": 404,
    "no_service": 404,
    "no_service_id": 404,
    "no_team": 404,
    "channel_is_archived": 410,
}


def judge(status: int, body: str = "", batch: int = 1, after: float | None = None) -> Outcome:
    """Judge an answer to a batch; its notices must all have the same outcome."""
    notices = [notice()] * batch
    outcomes = SLACK.judge(notices, answer(status, body, after))
    assert list(outcomes) == [outcomes[0]] * batch
    return outcomes[0]


def text_of(*notices: Notice) -> str:
    """Render a batch and give the text that Slack would read."""
    text: str = json.loads(SLACK.render(notices, {}).body or b"")["text"]
    return text


class RenderTests(SynchronousTestCase):
    """What is sent."""

    def test_one_notice_is_its_text_and_nothing_else(self) -> None:
        text = (
            "Your container was created on Tutum!\nCheck /api/v1/container/1/ to see more details."
        )
        request = SLACK.render([notice(text)], {})
        self.assertEqual((request.method, request.url.reveal()), ("POST", URL))
        self.assertEqual(request.headers, {"Content-Type": "application/json"})
        self.assertEqual(
            request.body,
            b'{"text":"Your container was created on Tutum!\\n'
            b'Check /api/v1/container/1/ to see more details."}',
        )

    def test_several_are_lines_of_one_text(self) -> None:
        self.assertEqual(text_of(notice("a"), notice("b\nc"), notice("d")), "a\nb\nc\nd")

    def test_text_is_sent_as_utf_8(self) -> None:
        request = SLACK.render([notice("ü 🚀 \u2028 \x00")], {})
        self.assertEqual(request.body, '{"text":"ü 🚀 \u2028 \\u0000"}'.encode())

    def test_the_url_is_in_no_repr(self) -> None:
        request = SLACK.render([notice()], {})
        self.assertNotIn("S3cret", f"{SLACK!r} {request!r} {SLACK} {request}")

    def test_a_long_text_is_cut_at_the_4000_characters_that_slack_advises(self) -> None:
        self.assertEqual(text_of(notice("x" * 4_000)), "x" * 4_000)
        self.assertEqual(text_of(notice("x" * 4_001)), "x" * 3_999 + "…")

    def test_a_full_batch_of_long_texts_stays_below_40000_characters(self) -> None:
        """Slack would cut the rest off without a word; so each line loses a part, visibly."""
        for count in (2, 10, 11, 20, 100):
            lines = text_of(*[notice("x" * 5_000)] * count).split("\n")
            self.assertEqual(len(lines), count)
            self.assertLessEqual(sum(map(len, lines)) + count - 1, 40_000)
            self.assertTrue(all(line.endswith("x…") for line in lines))

    def test_memory_changes_nothing(self) -> None:
        self.assertEqual(SLACK.render([notice()], {"web": "1.2"}), SLACK.render([notice()], {}))


class EscapeTests(SynchronousTestCase):
    """A value from the platform can neither link nor ping."""

    def test_three_characters_are_escaped_and_no_others(self) -> None:
        self.assertEqual(escape_mrkdwn("<!channel> & <@U1>"), "&lt;!channel&gt; &amp; &lt;@U1&gt;")
        self.assertEqual(
            escape_mrkdwn("*a* _b_ ~c~ `d` \"e\" 'f' é"), "*a* _b_ ~c~ `d` \"e\" 'f' é"
        )
        self.assertEqual(escape_mrkdwn("&lt;"), "&amp;lt;")

    @given(st.text())
    def test_nothing_can_open_a_link(self, value: str) -> None:
        escaped = escape_mrkdwn(value)
        self.assertNotRegex(escaped, "[<>]|&(?!amp;|lt;|gt;)")
        back = escaped.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")
        self.assertEqual(back, value)

    def test_the_kind_escapes_with_it(self) -> None:
        self.assertEqual(KIND.escape("<!here>"), "&lt;!here&gt;")


class CutTests(SynchronousTestCase):
    """A cut is visible, inside the limit, and never inside an entity or a link."""

    def test_what_fits_is_left_alone(self) -> None:
        self.assertEqual(cut_escaped("abc", 3), "abc")

    def test_a_cut_ends_with_an_ellipsis(self) -> None:
        self.assertEqual(cut_escaped("abcd", 3), "ab…")

    def test_an_entity_is_left_out_whole(self) -> None:
        for limit, cut in ((3, "ab…"), (4, "ab…"), (7, "ab…"), (8, "ab&amp;…")):
            self.assertEqual(cut_escaped("ab&amp;cdef", limit), cut, limit)
        self.assertEqual(cut_escaped("a&lt;bcdef", 5), "a…")
        self.assertEqual(cut_escaped("a&lt;bcdef", 6), "a&lt;…")

    def test_a_link_is_left_out_whole(self) -> None:
        text = "see <https://x/y|the page> now"
        self.assertEqual(cut_escaped(text, 20), "see …")
        self.assertEqual(cut_escaped(text, 26), "see …")
        self.assertEqual(cut_escaped(text, 27), "see <https://x/y|the page>…")

    def test_an_entity_inside_a_link_goes_with_it(self) -> None:
        self.assertEqual(cut_escaped("see <https://x/?a&amp;b|page> now", 21), "see …")

    def test_a_lone_ampersand_or_angle_is_text(self) -> None:
        """An operator may write ``a < b`` in a text of their own; it does not eat the rest."""
        self.assertEqual(cut_escaped("a & b is long", 6), "a & b…")
        self.assertEqual(cut_escaped("a < b is long", 6), "a < b…")
        far = "a < b" + "x" * 3_000 + ">" + "y" * 100
        self.assertEqual(cut_escaped(far, 3_001), far[:3_000] + "…")

    @given(
        st.lists(
            st.sampled_from(["a", " ", "&amp;", "&lt;", "&gt;", "<https://x/?y&amp;z|t>", "<@U1>"]),
            max_size=30,
        ),
        st.integers(2, 60),
    )
    def test_any_cut_of_any_text(self, tokens: list[str], limit: int) -> None:
        text = "".join(tokens)
        cut = cut_escaped(text, limit)
        self.assertLessEqual(len(cut), limit)
        if len(text) <= limit:
            self.assertEqual(cut, text)
            return
        kept = cut.removesuffix("…")
        self.assertEqual(cut, f"{kept}…")
        whole = {"".join(tokens[:count]) for count in range(len(tokens) + 1)}
        self.assertIn(kept, whole)


class JudgeTests(SynchronousTestCase):
    """How every answer is read."""

    def test_every_status_without_a_word(self) -> None:
        for status in ALL_STATUSES:
            self.assertEqual(judge(status, "hm"), self.expected(status, "hm"), status)
            self.assertEqual(judge(status), judge_status(answer(status)), status)

    def expected(self, status: int, body: str) -> Outcome:
        """Give what an answer with a word that is none of Slack's must be judged to be."""
        if 200 <= status < 300:
            return Park(Reason.CLIENT, f"this is not Slack: {status} {body}")
        return judge_status(answer(status, body))

    def test_ok_is_delivered(self) -> None:
        self.assertEqual(judge(200, "ok"), Delivered())
        self.assertEqual(judge(200, "ok\n", batch=20), Delivered())

    def test_what_other_servers_of_slacks_webhooks_answer_is_delivered(self) -> None:
        """Nothing at all, or JSON that says that it went well."""
        for body in ("", '{"ok":true}', '{"success":true}', '{"ok":true,"x":"' + "y" * 500 + '"}'):
            self.assertEqual(judge(200, body), Delivered(), body)

    def test_any_other_page_is_not_slack(self) -> None:
        """A portal's page with status 200 must not swallow notices."""
        bad = (
            "<html>Please log in</html>",
            '{"ok":false,"error":"x"}',
            "[]",
            "true",
            "[" * 100_000,
        )
        for body in bad:
            judged = judge(200, body)
            assert isinstance(judged, Park), body
            self.assertTrue(judged.said.startswith("this is not Slack: 200 "), judged)

    def test_what_only_a_person_can_mend_parks_the_destination(self) -> None:
        """Nothing that waits for the channel is lost."""
        for word, status in TARGET_ERRORS.items():
            self.assertEqual(judge(status, word), Park(Reason.AUTH, f"{status} {word}"), word)
            self.assertIsInstance(judge(400, word), Park, word)

    def test_a_bad_payload_is_given_up(self) -> None:
        for word, status in PAYLOAD_ERRORS.items():
            self.assertEqual(judge(status, word), GiveUp(Reason.CLIENT, f"{status} {word}"), word)

    def test_a_bad_batch_is_sent_one_by_one(self) -> None:
        for word, status in PAYLOAD_ERRORS.items():
            expected = Smaller(Reason.CLIENT, f"{status} {word}")
            self.assertEqual(judge(status, word, batch=2), expected, word)
        self.assertEqual(judge(413, batch=2), Smaller(Reason.TOO_LARGE, "413"))

    def test_throttled_is_tried_again_when_slack_says(self) -> None:
        for body in ("", "rate_limited", '{"ok":false,"count_hour_ago":1}'):
            judged = judge(429, body, after=30.0)
            assert isinstance(judged, RetryLater)
            self.assertEqual(
                (judged.reason, judged.after_seconds, judged.surely_refused),
                (Reason.RATE_LIMITED, 30.0, True),
            )

    def test_a_server_error_is_tried_again(self) -> None:
        self.assertEqual(judge(503, "no", after=3.0), RetryLater(Reason.SERVER, "503 no", 3.0))

    def test_rollup_error_is_a_refusal_for_sure(self) -> None:
        expected = RetryLater(Reason.SERVER, "500 rollup_error", None, surely_refused=True)
        self.assertEqual(judge(500, "rollup_error"), expected)


class MakeTests(SynchronousTestCase):
    """The settings of ``kind = "slack"``."""

    def make(self, url: str, batch: int | None = None) -> Slack:
        """Make one from settings."""
        return make_slack(SlackSettings(kind="slack", url=Secret(url), batch=batch))

    def test_a_url_makes_a_notifier(self) -> None:
        self.assertEqual(self.make(URL), SLACK)

    def test_what_is_no_url_is_told_without_repeating_it(self) -> None:
        for url in ("", "S3cret", "ftp://x/S3cret", "https:///S3cret", "https://u:S3cret@x/"):
            problem = self.assertRaises(ValueError, self.make, url)
            self.assertTrue(str(problem).startswith("url: "), problem)
            self.assertNotIn("S3cret", str(problem))

    def test_a_batch_leaves_each_notice_some_room(self) -> None:
        self.assertEqual(self.make(URL, batch=100), SLACK)
        problem = self.assertRaises(ValueError, self.make, URL, 101)
        self.assertEqual(str(problem), "batch: must be at most 100")

    def test_its_pace(self) -> None:
        """A message a second, bursts of ten, lines once more than ten wait, one at a time."""
        self.assertEqual(
            (PACE.rate_per_second, PACE.burst_count, PACE.batch_above_count, PACE.batch_count),
            (1.0, 10, 10, 20),
        )
        self.assertEqual((PACE.concurrency_count, PACE.retry_after), (1, "destination"))
