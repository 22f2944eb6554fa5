"""Tests of tutumwatch/bridge/query.py, on objects that are no more than the fields asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.bridge.query import BadQueryError, Lists, read_query

STACK, SERVICE, OTHER, WEB, CLUSTER, NODE = (
    f"/api/v1/{name}/"
    for name in ("stack/s", "service/a", "service/b", "container/w", "nodecluster/k", "node/n")
)
OBJECTS: Mapping[str, Mapping[str, Any]] = {
    STACK: {"name": "shop", "services": [SERVICE, OTHER]},
    SERVICE: {"name": "web", "stack": STACK, "containers": [WEB]},
    OTHER: {"name": "db", "stack": STACK, "containers": []},
    WEB: {"name": "web-1", "service": SERVICE, "stack": STACK, "node": NODE, "containers": []},
    CLUSTER: {"name": "demo", "nodes": [NODE]},
    NODE: {"node_cluster": CLUSTER},
}
LISTS = Lists(OBJECTS.get)


def found(type_: str, query: str, *objects: Any) -> list[str]:  # noqa: ANN401 - JSON
    """Give the uuids of the objects that a query selects."""
    page = LISTS.answer(type_, f"/api/v1/{type_}/", objects, read_query(query))
    return [o["uuid"] for o in page["objects"]]


class FilterTests(SynchronousTestCase):
    """Exact and case-sensitive; what is no filter is an error, never all."""

    def test_plain_filters_of_each_type(self) -> None:
        plain = {
            "stack": ["uuid", "state", "name"],
            "service": ["uuid", "state", "name", "stack"],
            "container": ["uuid", "state", "name", "service", "stack", "node"],
            "nodecluster": ["uuid", "state", "name", "region", "node_type"],
            "node": ["uuid", "state", "node_cluster", "region", "node_type", "docker_version"],
            "action": ["uuid", "state", "object"],
        }
        for type_, names in plain.items():
            for name in names:
                objects: list[dict[str, Any]] = [
                    {"uuid": "1", name: "Ab"},
                    {"uuid": "2", name: "Ac"},
                ]
                wanted = "1" if name != "uuid" else "Ab"
                self.assertEqual(found(type_, f"{name}=Ab", *objects), [wanted], (type_, name))
                self.assertEqual(found(type_, f"{name}=ab", *objects), [], (type_, name))
                self.assertEqual(found(type_, f"{name}=A", *objects), [], (type_, name))

    def test_a_value_may_be_encoded_either_way(self) -> None:
        objects = [{"uuid": "1", "state": "Partly running"}]
        for query in ("state=Partly%20running", "state=Partly+running"):
            self.assertEqual(found("service", query, *objects), ["1"])

    def test_of_a_doubled_parameter_the_last_counts(self) -> None:
        objects = [{"uuid": "1", "name": "a"}, {"uuid": "2", "name": "b"}]
        self.assertEqual(found("service", "name=a&name=b&limit=9&limit=5", *objects), ["2"])

    def test_uuid_startswith_of_each_type(self) -> None:
        for type_ in ("stack", "service", "container", "nodecluster", "node", "action"):
            objects = [{"uuid": "abc"}, {"uuid": "bbc"}]
            self.assertEqual(found(type_, "uuid__startswith=ab", *objects), ["abc"], type_)

    def test_the_name_of_the_stack(self) -> None:
        objects = [
            {"uuid": "1", "stack": STACK},
            {"uuid": "2", "stack": None},
            {"uuid": "3", "stack": "/api/v1/stack/forgotten/"},
        ]
        for type_, name in (("service", "stack__name"), ("container", "service__stack__name")):
            self.assertEqual(found(type_, f"{name}=shop", *objects), ["1"])
            self.assertEqual(found(type_, f"{name}=Shop", *objects), [])

    def test_docker_clouds_form_of_a_uri(self) -> None:
        objects = [{"uuid": "1", "stack": STACK}]
        self.assertEqual(found("service", "stack=/api/app/v1/stack/s/", *objects), ["1"])

    def test_several_filters_must_all_hold(self) -> None:
        objects = [
            {"uuid": "1", "name": "a", "state": "x"},
            {"uuid": "2", "name": "a", "state": "y"},
        ]
        self.assertEqual(found("service", "name=a&state=y", *objects), ["2"])

    def test_unknown_filters_are_named(self) -> None:
        for type_, name in (
            ("service", "nmae"),
            ("stack", "stack__name"),
            ("service", "service__stack__name"),
            ("node", "name"),
            ("service", "start_date__gte"),
            ("action", "start_date__lt"),
            ("action", "start_date"),
            ("service", "include_related"),
            ("service", "object"),
        ):
            with self.assertRaises(BadQueryError) as caught:
                found(type_, f"{name}=true")
            self.assertEqual(str(caught.exception), f"'{name}' is no filter of {type_}")

    def test_credentials_and_format_are_no_filters(self) -> None:
        query = "format=json&auth=x&user=y&token=z"
        self.assertEqual(found("service", query, {"uuid": "1"}), ["1"])


class DateTests(SynchronousTestCase):
    """Dates of actions, in their own form or in ISO 8601."""

    ACTIONS = (
        {"uuid": "1", "start_date": "Wed, 17 Sep 2014 08:26:22 +0000", "end_date": None},
        {
            "uuid": "2",
            "start_date": "Thu, 18 Sep 2014 08:26:22 +0000",
            "end_date": "Thu, 18 Sep 2014 08:30:00 +0000",
        },
    )

    def test_both_ends_are_included(self) -> None:
        for query, expected in (
            ("start_date__gte=2014-09-18T08:26:22Z", ["2"]),
            ("start_date__gte=2014-09-18T08:26:23Z", []),
            ("start_date__lte=2014-09-17T08:26:22", ["1"]),
            ("start_date__lte=2014-09-17T08:26:21", []),
            ("end_date__gte=2000-01-01", ["2"]),
            ("end_date__lte=2030-01-01", ["2"]),
            ("start_date__gte=2014-09-17&start_date__lte=2014-09-18", ["1"]),
        ):
            self.assertEqual(found("action", query, *self.ACTIONS), expected, query)

    def test_every_way_to_write_one_date(self) -> None:
        for value in (
            "Thu,%2018%20Sep%202014%2008:26:22%20%2B0000",
            "Thu, 18 Sep 2014 08:26:22 +0000",
            "Thu, 18 Sep 2014 10:26:22 +0200",
            "2014-09-18T08:26:22+00:00",
            "2014-09-18T10:26:22+02:00",
            "2014-09-18T10:26:22%2B02:00",
            "2014-09-18 08:26:22",
        ):
            both = f"start_date__gte={value}&start_date__lte={value}"
            self.assertEqual(found("action", both, *self.ACTIONS), ["2"], value)

    def test_no_date(self) -> None:
        with self.assertRaises(BadQueryError) as caught:
            found("action", "end_date__lte=yesterday")
        self.assertEqual(str(caught.exception), "end_date__lte: 'yesterday' is no date")

    @given(st.text(alphabet="0123456789-+:T WedSpZ,.GMT") | st.text())
    def test_any_text_is_a_date_or_is_refused(self, value: str) -> None:
        for name in ("start_date__gte", "start_date__lte"):
            try:
                page = LISTS.answer("action", "/", self.ACTIONS, {name: value})
            except BadQueryError:
                continue
            self.assertLessEqual(page["meta"]["total_count"], 2)


class RelatedTests(SynchronousTestCase):
    """``include_related`` gives the actions of what belongs to an object too."""

    def related_to(self, uri: str, **more: str) -> set[str]:
        """Give which objects' actions are found for one object."""
        actions = [{"uuid": o, "object": o} for o in (*OBJECTS, "/api/v1/stack/unknown/")]
        query = {"object": uri, "include_related": "true", **more}
        return {o["uuid"] for o in LISTS.answer("action", "/", actions, query)["objects"]}

    def test_relations(self) -> None:
        for uri, expected in (
            (WEB, {WEB, SERVICE, STACK}),
            (SERVICE, {WEB, SERVICE, STACK}),
            (STACK, {STACK, SERVICE, OTHER, WEB}),
            (NODE, {NODE, CLUSTER}),
            (CLUSTER, {CLUSTER, NODE}),
            ("/api/v1/stack/unknown/", {"/api/v1/stack/unknown/"}),
            ("/api/infra/v1/node/n/", {NODE, CLUSTER}),
        ):
            self.assertEqual(self.related_to(uri), expected, uri)

    def test_only_if_asked_for(self) -> None:
        self.assertEqual(self.related_to(WEB, include_related="false"), {WEB})

    def test_a_service_that_is_forgotten_has_no_containers(self) -> None:
        objects = {STACK: OBJECTS[STACK]}
        query = {"object": STACK, "include_related": "1"}
        actions = [{"uuid": "1", "object": SERVICE}, {"uuid": "2", "object": WEB}]
        page = Lists(objects.get).answer("action", "/", actions, query)
        self.assertEqual([o["uuid"] for o in page["objects"]], ["1"])


class PagingTests(SynchronousTestCase):
    """Pages of a list of 60."""

    def meta(self, query: str) -> dict[str, Any]:
        """Give the meta of a page of services."""
        objects = [{"uuid": str(n), "name": "a b"} for n in range(60)]
        page = LISTS.answer("service", "/api/v1/service/", objects, read_query(query))
        return {**page["meta"], "first": next((o["uuid"] for o in page["objects"]), None)}

    def test_the_first_page_has_25(self) -> None:
        self.assertEqual(
            self.meta(""),
            {
                "limit": 25,
                "offset": 0,
                "next": "/api/v1/service/?limit=25&offset=25",
                "previous": None,
                "total_count": 60,
                "first": "0",
            },
        )

    def test_a_page_in_the_middle_keeps_the_filters_and_drops_the_key(self) -> None:
        meta = self.meta("name=a%20b&limit=20&offset=20&user=ops&token=s3cret&auth=x")
        self.assertEqual(meta["next"], "/api/v1/service/?name=a+b&limit=20&offset=40")
        self.assertEqual(meta["previous"], "/api/v1/service/?name=a+b&limit=20&offset=0")
        self.assertEqual((meta["limit"], meta["offset"], meta["first"]), (20, 20, "20"))

    def test_the_last_page(self) -> None:
        meta = self.meta("limit=20&offset=40")
        self.assertEqual((meta["next"], meta["first"]), (None, "40"))

    def test_beyond_the_end(self) -> None:
        meta = self.meta("limit=20&offset=500")
        self.assertEqual((meta["next"], meta["first"], meta["total_count"]), (None, None, 60))

    def test_following_next_gives_each_object_once(self) -> None:
        query, seen = "limit=7", []
        while True:
            meta = self.meta(query)
            seen.append(meta["first"])
            if meta["next"] is None:
                break
            query = urlsplit(meta["next"]).query
        self.assertEqual(seen, [str(n) for n in range(0, 60, 7)])

    def test_previous_stops_at_the_beginning(self) -> None:
        previous = self.meta("limit=20&offset=5")["previous"]
        self.assertEqual(parse_qs(urlsplit(previous).query)["offset"], ["0"])

    def test_zero_asks_for_as_many_as_possible(self) -> None:
        self.assertEqual(self.meta("limit=0")["limit"], 1000)

    def test_a_bad_number_is_named(self) -> None:
        for name in ("limit", "offset"):
            for value in ("-1", "x", "", "1.5", "٣", "9" * 10, "1" * 5000):
                with self.assertRaises(BadQueryError) as caught:
                    self.meta(f"{name}={value}")
                expected = f"{name} must be a whole number, not {value[:40]!r}"
                self.assertEqual(str(caught.exception), expected)
