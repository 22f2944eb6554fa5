"""Tests of the names that rules may use, and of what those are told who mistype one."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.rules.vocabulary import (
    explain_unknown,
    explain_unlikely,
    field_of,
    has_no_case,
    suggestion,
)


class FieldOfTests(SynchronousTestCase):
    """The field that a dotted name begins with."""

    def test_fields(self) -> None:
        for dotted, field in (
            ("state", "state"),
            ("state.upper", "state"),
            ("exit_code", "exit_code"),
            ("reason", "reason"),
            ("stack.name", "stack.name"),
            ("stack.name.lower", "stack.name"),
            ("nodecluster.region", "nodecluster.region"),
            ("before.state", "before.state"),
            ("before.parents", "before.parents"),
            ("labels.job", "labels.job"),
            ("labels.job.upper", "labels.job"),
            ("service.labels.job", "service.labels.job"),
            ("service.labels.job.upper", "service.labels.job"),
            ("before.labels.job", "before.labels.job"),
            ("labels.labels", "labels.labels"),
            ("health", "health"),
            ("ended", "ended"),
            ("deploy", "deploy"),
            ("deploy_ago", "deploy_ago"),
            ("update_state", "update_state"),
            ("service.deploy", "service.deploy"),
            ("service.image_before", "service.image_before"),
            ("stack.health", "stack.health"),
            ("before.health", "before.health"),
            ("before.ended", "before.ended"),
            ("before.deploy_time", "before.deploy_time"),
        ):
            self.assertEqual(field_of(tuple(dotted.split("."))), tuple(field.split(".")), dotted)

    def test_a_label_is_one_name(self) -> None:
        self.assertEqual(field_of(("labels", "com.example.job")), ("labels", "com.example.job"))

    def test_what_is_no_field(self) -> None:
        for dotted in (
            "",
            "stat",
            "stack",
            "before",
            "labels",
            "stack.labels",
            "before.labels",
            "stack.stack",
            "stack.reason",
            "stack.parents",
            "before.action",
            "before.service.name",
            "action.name",
            "container.name",
            "service.ended",
            "stack.deploys",
        ):
            expected = ("action",) if dotted == "action.name" else None
            self.assertEqual(field_of(tuple(dotted.split("."))), expected, dotted)


class ExplainTests(SynchronousTestCase):
    """What is said of a mistake names the nearest thing that would be right."""

    def test_a_field_that_does_not_exist(self) -> None:
        for dotted, said in (
            ("stat", "'stat' is no known field (did you mean 'state'?)"),
            ("stack.nme", "'stack.nme' is no known field (did you mean 'stack.name'?)"),
            ("before.stat", "'before.stat' is no known field (did you mean 'before.state'?)"),
            ("service", "'service' is no known field (did you mean 'service.name'?)"),
            ("sevice", "'sevice' is no known field (did you mean 'service.name'?)"),
            ("zzzzz", "'zzzzz' is no known field"),
            ("labels", "'labels' must name one of the labels, as labels.job does"),
            (
                "stack.labels",
                "'stack.labels' must name one of the labels, as stack.labels.job does",
            ),
            ("container.labels", "'container.labels' is no known field"),
        ):
            explained = explain_unknown(tuple(dotted.split(".")))
            self.assertTrue(explained.startswith(said), explained)

    def test_a_word_that_a_field_will_not_hold(self) -> None:
        for path, word, said in (
            ("state", "Runing", "'Runing' is no known state (did you mean 'Running'?)"),
            ("before.state", "Stoped", "'Stoped' is no known state (did you mean 'Stopped'?)"),
            (
                "stack.state",
                "partly runing",
                "'partly runing' is no known state (did you mean 'Partly running'?)",
            ),
            ("type", "contaner", "'contaner' is no known type (did you mean 'container'?)"),
            ("type", "Service", "'Service' is no known type (did you mean 'service'?)"),
            ("action", "deleted", "'deleted' is no known action (did you mean 'delete'?)"),
            ("kind", "Gone", "'Gone' is no known kind (did you mean 'gone'?)"),
            ("kind", "vanished", "'vanished' is no known kind"),
            ("changed", "stat", "'stat' is no known field (did you mean 'state'?)"),
            ("changed", "xyz", "'xyz' is no known field"),
            ("changed", "health", "'health' is no known field"),
            ("health", "OK", "'OK' is no known health (did you mean 'ok'?)"),
            ("stack.health", "up", "'up' is no known health"),
            ("ended", "fail", "'fail' is no known way to end (did you mean 'failed'?)"),
            ("before.ended", "away", "'away' is no known way to end"),
            (
                "service.deploy",
                "overdo",
                "'overdo' is no known state of a deploy (did you mean 'overdue'?)",
            ),
            (
                "deploy",
                "rolled-back",
                "'rolled-back' is no known state of a deploy (did you mean 'rolled back'?)",
            ),
            (
                "update_state",
                "updateing",
                "'updateing' is no known state of an update (did you mean 'updating'?)",
            ),
        ):
            self.assertEqual(explain_unlikely(tuple(path.split(".")), word), said)

    def test_words_that_are_right_or_may_be_new(self) -> None:
        for path, word in (
            ("state", "Running"),
            ("state", "PARTLY RUNNING"),
            ("state", "Not running"),
            ("state", "Hibernating"),
            ("type", "volume"),
            ("type", "user-notifications"),
            ("action", "redeploy"),
            ("kind", "gone"),
            ("changed", "labels"),
            ("changed", "exit_code"),
            ("changed", "ended"),
            ("changed", "deploy"),
            ("changed", "update_state"),
            ("health", "down"),
            ("ended", "oom"),
            ("deploy", "none"),
            ("deploy", "rolled back"),
            ("update_state", "rollback_completed"),
            ("update_state", "frozen"),
            ("labels.health", "good"),
            ("name", "runing"),
            ("labels.state", "Runing"),
            ("labels.kind", "anything"),
        ):
            self.assertIsNone(explain_unlikely(tuple(path.split(".")), word), (path, word))

    def test_states_have_no_case_and_labels_have(self) -> None:
        self.assertTrue(has_no_case(("stack", "state")))
        self.assertFalse(has_no_case(("labels", "state")))
        self.assertFalse(has_no_case(("name",)))

    def test_a_suggestion_is_made_where_one_is_near(self) -> None:
        self.assertEqual(suggestion("slak", ["slack", "pd"]), " (did you mean 'slack'?)")
        self.assertEqual(suggestion("smtp", ["slack", "pd"]), "")
