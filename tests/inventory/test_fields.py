"""Tests of what is kept of an object of the platform."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.tutum_events import KINDS, new_uuid
from tests.fakes.tutum_objects import rest_object
from tutumwatch.inventory.fields import ObjectFacts, read_object, without_unread

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
USED = ["name", "nickname", "state", "labels", "image_name", "exit_code", "service", "stack"]


class ReadObjectTests(SynchronousTestCase):
    """An allow-list, so that nothing secret is kept; whatever is odd is left out."""

    def test_a_container(self) -> None:
        facts = read_object(
            {
                "uuid": "fa159860",
                "resource_uri": "/api/v1/container/fa159860/",
                "name": "web-1",
                "nickname": "web",
                "state": "Stopped",
                "image_name": "tutum/hello-world:latest",
                "exit_code": 137,
                "exit_code_msg": "OOM",
                "service": "/api/v1/service/s/",
                "node": "/api/v1/node/n/",
                "labels": {"com.example.job": "nightly", "empty": ""},
                "container_envvars": [{"key": "PASSWORD", "value": "hunter2"}],
            }
        )
        self.assertEqual(
            facts,
            ObjectFacts(
                name="web-1",
                state="Stopped",
                parents=("/api/v1/service/s/", "/api/v1/node/n/"),
                fields={
                    "nickname": "web",
                    "image": "tutum/hello-world:latest",
                    "exit_code": 137,
                    "exit_code_msg": "OOM",
                    "labels": {"com.example.job": "nightly", "empty": ""},
                },
            ),
        )
        self.assertNotIn("hunter2", repr(facts))

    def test_the_counts_of_a_service(self) -> None:
        facts = read_object({"running_num_containers": 0, "target_num_containers": 3})
        self.assertEqual(facts.fields, {"running": 0, "target": 3})

    def test_how_the_update_of_a_service_went(self) -> None:
        """Also of what was looked up, which is written down."""
        told = {"update_state": "paused", "synchronized": True}
        self.assertEqual(read_object(without_unread(told)).fields, {"update_state": "paused"})
        self.assertEqual(read_object({"update_state": None}).fields, {})

    def test_a_node_is_called_by_its_host(self) -> None:
        facts = read_object(
            {
                "external_fqdn": "a.node.example",
                "region": "/api/v1/region/eu/",
                "node_cluster": "/api/v1/nodecluster/c/",
            }
        )
        self.assertEqual(
            (facts.name, facts.parents), ("a.node.example", ("/api/v1/nodecluster/c/",))
        )
        self.assertEqual(facts.fields["host"], "a.node.example")

    def test_an_action_names_its_object(self) -> None:
        facts = read_object({"object": "/api/v1/service/s/", "action": "Service redeploy"})
        self.assertEqual(facts.parents, ("/api/v1/service/s/",))

    def test_every_object_of_the_platform_has_a_state(self) -> None:
        for kind in KINDS:
            self.assertIsNotNone(read_object(rest_object(kind, new_uuid())).state, kind)

    def test_a_value_of_the_wrong_shape_is_left_out(self) -> None:
        """Text where labels stand, labels where a text stands: neither may break a rule."""
        for odd in (None, "", [], {}, [1], {"a": 1}):
            facts = read_object({"name": odd, "state": odd, "image_name": odd, "service": odd})
            self.assertEqual(facts, ObjectFacts(None, None, (), {}), repr(odd))
        for odd in ("text", "", None, [1], []):
            self.assertEqual(read_object({"labels": odd}).fields, {}, repr(odd))
        self.assertEqual(read_object({"labels": 7}).fields, {})
        odd_labels = {"a": ["x"], "b": {"c": 1}, "d": None, "e": 5, "f": True}
        self.assertEqual(
            read_object({"labels": odd_labels}).fields, {"labels": {"e": "5", "f": "True"}}
        )

    def test_values_are_bounded(self) -> None:
        long = "x" * 600
        facts = read_object(
            {
                "name": long,
                "state": long,
                "image_name": long,
                "stack": long,
                "labels": {long: long, **{f"l{n}": "" for n in range(100)}},
            }
        )
        cut = "x" * 512
        self.assertEqual((facts.name, facts.state, facts.parents), (cut, cut, (cut,)))
        self.assertEqual(facts.fields["image"], cut)
        self.assertEqual(len(facts.fields["labels"]), 64)
        self.assertEqual(facts.fields["labels"][cut], cut)

    @given(st.dictionaries(st.sampled_from(USED) | st.text(), ANY))
    def test_any_object_is_read(self, fields: dict[str, Any]) -> None:
        facts = read_object(fields)
        for name, value in facts.fields.items():
            self.assertIsInstance(value, dict if name == "labels" else str | bool | int | float)
