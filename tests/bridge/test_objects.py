"""Tests of tutumwatch/bridge/objects.py."""

from __future__ import annotations

import json
import locale

from twisted.trial.unittest import SynchronousTestCase

from tests.bridge.cases import STATES, P, World, container, node, service
from tests.bridge.fields import FIELDS, wrong_fields
from tutumwatch.bridge.happenings import ContainerGone, NodeState
from tutumwatch.bridge.model import Thing
from tutumwatch.bridge.objects import http_date, object_of


class ObjectTests(SynchronousTestCase):
    """What the published clients decode, with the type that they insist on."""

    def test_every_field_of_every_type(self) -> None:
        world = World()
        told = (
            node(state=NodeState.UNKNOWN),
            service(ports=((80, 8080), (443, None)), labels={"tutumwatch.team": "red"}),
            service("alone", stack=None, on_every_node=True),
            container(phase=P.STARTING),
            container("free", of=None, node="nowhere"),
            container("dead", phase=P.STOPPED, exit_code=137, is_oom=True),
        )
        world.tell(*told)
        seen = list(world.last)
        world.tell(node(), container(), ContainerGone("dead"))
        seen += world.last
        self.assertEqual({a.type for a in seen}, set(FIELDS))
        for told_of in seen:
            object_ = json.loads(json.dumps(told_of.object))
            self.assertEqual(wrong_fields(told_of.type, object_), [])
            self.assertIn(object_["state"], STATES[told_of.type].split(", "))

    def test_the_checks_can_fail(self) -> None:
        world = World()
        world.tell(node(), service(), container())
        for told in world.last:
            for name in FIELDS[told.type]:
                self.assertNotEqual(wrong_fields(told.type, {**told.object, name: 1.5j}), [], name)

    def test_out_of_memory_is_said(self) -> None:
        world = World(container(of=None))
        world.tell(container(of=None, phase=P.STOPPED, exit_code=137, is_oom=True))
        dead = world.object("container")
        self.assertEqual((dead["exit_code"], dead["exit_code_msg"]), (137, "OOM"))

    def test_a_port_that_is_not_published(self) -> None:
        world = World()
        world.tell(service(ports=((80, None),)))
        self.assertEqual(
            world.object("service")["container_ports"],
            [
                {
                    "inner_port": 80,
                    "outer_port": None,
                    "protocol": "tcp",
                    "port_name": "80",
                    "endpoint_uri": "",
                    "published": False,
                }
            ],
        )

    def test_strategy(self) -> None:
        for everywhere, expected in ((True, "EVERY_NODE"), (False, "EMPTIEST_NODE")):
            world = World()
            world.tell(service(on_every_node=everywhere))
            self.assertEqual(world.object("service")["deployment_strategy"], expected)

    def test_no_other_kind_of_thing_exists(self) -> None:
        with self.assertRaises(TypeError):
            object_of(Thing("u", 0.0))


class SecretTests(SynchronousTestCase):
    """Labels and image names hold passwords and paths of the host, so most are left out."""

    def test_labels_by_allow_list(self) -> None:
        kept = {
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": "web",
            "com.docker.compose.container-number": "1",
            "com.docker.stack.namespace": "shop",
            "com.docker.swarm.task.id": "t",
            "tutumwatch.team": "red",
        }
        dropped = {
            "com.docker.compose.project.working_dir": "/home/ops",
            "com.docker.compose.project.config_files": "/home/ops/compose.yml",
            "com.docker.compose.serviceaccount": "x",
            "traefik.http.middlewares.auth.basicauth.users": "ops:s3cret",
        }
        world = World()
        world.tell(service(labels={**kept, **dropped}))
        self.assertEqual(world.object("service")["labels"], kept)

    def test_images(self) -> None:
        digest = "@sha256:" + "0a" * 32
        for image, name, tag in (
            ("nginx", "nginx", "nginx/tag/latest"),
            ("nginx:1.25", "nginx:1.25", "nginx/tag/1.25"),
            ("shop/web:2.0", "shop/web:2.0", "shop/web/tag/2.0"),
            (
                "hub.test:5000/shop/web",
                "hub.test:5000/shop/web",
                "hub.test:5000/shop/web/tag/latest",
            ),
            (f"nginx:1.25{digest}", f"nginx:1.25{digest}", "nginx/tag/1.25"),
            ("ops:s3cret@hub.test/web:1", "hub.test/web:1", "hub.test/web/tag/1"),
            ("ops:s3/cret@hub.test/web:1", "hub.test/web:1", "hub.test/web/tag/1"),
            (
                f"ops:s3@cret@hub.test/web{digest}",
                f"hub.test/web{digest}",
                "hub.test/web/tag/latest",
            ),
        ):
            world = World()
            world.tell(service(image=image))
            made = world.object("service")
            self.assertEqual(
                (made["image_name"], made["image_tag"]), (name, f"/api/v1/image/{tag}/")
            )


class DateTests(SynchronousTestCase):
    """The one form that the CLI reads."""

    def test_form(self) -> None:
        self.assertEqual(http_date(1410942382.9), "Wed, 17 Sep 2014 08:26:22 +0000")
        self.assertIsNone(http_date(None))

    def test_english_whatever_the_locale(self) -> None:
        before = locale.setlocale(locale.LC_TIME)
        self.addCleanup(locale.setlocale, locale.LC_TIME, before)
        for name in ("de_DE.UTF-8", "C.UTF-8"):
            try:
                locale.setlocale(locale.LC_TIME, name)
            except locale.Error:
                continue
            self.assertEqual(http_date(1410942383), "Wed, 17 Sep 2014 08:26:23 +0000")
