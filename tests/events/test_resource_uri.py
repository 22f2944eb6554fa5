"""Tests of the guard: the paths that our credentials may be sent to."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.tutum_events import KINDS, new_uuid, uri_of
from tutumwatch.events.resource_uri import ResourceName, parse_resource_uri

UUID = "fa159860-9048-4d1e-8655-6285fa9e3fa2"
GOOD = f"/api/v1/container/{UUID}/"

# What a message could name to have our credentials sent elsewhere, or to say more than a path.
ATTACKS = (
    "",
    "/",
    # another host
    "@elsewhere.example/",
    f"@elsewhere.example{GOOD}",
    f":443@elsewhere.example{GOOD}",
    f".elsewhere.example{GOOD}",
    "//elsewhere.example/",
    f"//elsewhere.example{GOOD}",
    f"///elsewhere.example{GOOD}",
    "\\\\elsewhere.example\\",
    f"\\\\elsewhere.example{GOOD}",
    f"/\\elsewhere.example{GOOD}",
    f"https://elsewhere.example{GOOD}",
    f"HTTPS://dashboard.tutum.co{GOOD}",
    "javascript:alert(1)",
    "file:///etc/passwd",
    # another path
    f"/api/v1/../../admin/{UUID}/",
    f"/api/v1/container/../{UUID}/",
    "/api/v1/container/../",
    "/api/v1/container/./",
    "/api/v1/../container/",
    f"/api/v1/container/{UUID}/..",
    f"/api/v1/container/{UUID}/../../secret/",
    f"/api/v1/container/{UUID}/redeploy/",
    f"/api/v1//container/{UUID}/",
    f"/api//v1/container/{UUID}/",
    f"/api/v1/container//{UUID}/",
    f"/api/v1/container/{UUID}//",
    f"/api/v2/container/{UUID}/",
    f"/api/evil/v1/container/{UUID}/",
    f"/api/app/infra/v1/container/{UUID}/",
    f"/evil{GOOD}",
    f"api/v1/container/{UUID}/",
    "/api/v1/container/",
    "/api/v1/auth/",
    # a query, a fragment, parameters
    f"/api/v1/container/{UUID}?limit=1",
    f"/api/v1/container/{UUID}/?limit=1",
    f"/api/v1/container/{UUID}/#top",
    f"/api/v1/container/{UUID};v=1/",
    # another request
    f"/api/v1/container/{UUID}/\r\nHost: elsewhere.example",
    f"/api/v1/container/{UUID}\r\n/",
    f"/api/v1/container/{UUID}/ HTTP/1.1",
    f"{GOOD}\n",
    f"{GOOD}\r\n",
    f"{GOOD}\r",
    f"{GOOD}\u2028",
    f"\n{GOOD}",
    f"{GOOD} ",
    f" {GOOD}",
    f"{GOOD}\t",
    f"{GOOD}\x00",
    f"/api/v1/container/{UUID[:10]}\x00{UUID[10:]}/",
    "/api/v1/con\x00tainer/a/",
    # encoded
    f"/api/v1/container/{UUID}%2f",
    f"/api/v1/container/%2e%2e/{UUID}/",
    "/api/v1/container/%2E%2E/",
    "/api/v1/container/..%2fadmin/",
    "/api/v1/container/%252e%252e/",
    f"%2f%2felsewhere.example{GOOD}",
    f"/%40elsewhere.example{GOOD}",
    f"/api/v1/container/{UUID}%00/",
    f"/api/v1/container/{UUID}%0d%0aHost:%20x/",
    f"/api/v1/container%2f{UUID}/",
    # digits and letters that are none of ours
    "/api/v1/container/\u0661\u0662\u0663/",
    "/api/v1/container/\uff41\uff42/",
    "/api/v1/container/\u00e9/",
    "/api/v1/c\u043entainer/a/",
    "/api/v\u0661/container/a/",
    "/api/v1/container/\u212a/",
    "/api/v1/\u017ftack/a/",
    f"\uff0fapi/v1/container/{UUID}/",
    f"/api/v1/container\u2215{UUID}/",
    "/api/v1/container/\u2025/",
    # what no type and no uuid looks like
    "/api/v1/Container/a/",
    "/api/v1/-/a/",
    "/api/v1/con.tainer/a/",
    "/api/v1/container/-a/",
    "/api/v1/container/a.b/",
    "/api/v1/container/a:b/",
    f"/api/v1/{'c' * 33}/a/",
    f"/api/v1/container/{'a' * 65}/",
)


class ParseResourceUriTests(SynchronousTestCase):
    """``/api/v1/<type>/<uuid>/`` and its like are read; everything else is refused."""

    def test_every_type_of_the_platform(self) -> None:
        for kind in KINDS:
            uuid = new_uuid()
            self.assertEqual(parse_resource_uri(uri_of(kind, uuid)), ResourceName(kind, uuid))

    def test_the_last_slash_may_be_missing(self) -> None:
        self.assertEqual(parse_resource_uri(GOOD.rstrip("/")), ResourceName("container", UUID))

    def test_the_paths_of_docker_cloud(self) -> None:
        for part, kind in (("app", "stack"), ("infra", "nodecluster"), ("audit", "action")):
            uri = f"/api/{part}/v1/{kind}/{UUID}/"
            self.assertEqual(parse_resource_uri(uri), ResourceName(kind, UUID))

    def test_types_that_nobody_has_heard_of_pass(self) -> None:
        for kind in ("volume", "user-notifications", "c" * 32):
            self.assertEqual(parse_resource_uri(f"/api/v1/{kind}/a/"), ResourceName(kind, "a"))
        self.assertEqual(
            parse_resource_uri(f"/api/v1/stack/{'a' * 64}/"), ResourceName("stack", "a" * 64)
        )

    def test_nothing_that_could_leave_the_host_or_the_path_passes(self) -> None:
        for attack in ATTACKS:
            self.assertIsNone(parse_resource_uri(attack), repr(attack))

    @given(st.text() | st.from_regex(r"/api/v1/[\w.%@/\\-]{1,20}/[\w.%@/\\-]{1,20}/?"))
    @example(GOOD)
    def test_what_passes_is_made_of_safe_characters(self, uri: str) -> None:
        """Joined to a host it stays on that host, and comes out of any parser as it went in."""
        if parse_resource_uri(uri) is None:
            return
        self.assertIsNotNone(re.fullmatch(r"[A-Za-z0-9/_-]+", uri, re.ASCII))
        self.assertNotIn("//", uri)
        for url in (f"https://host.example{uri}", urljoin("https://host.example/", uri)):
            parts = urlsplit(url)
            self.assertEqual((parts.netloc, parts.path), ("host.example", uri))

    @given(st.sampled_from([GOOD, "/api/app/v1/stack/a"]), st.data())
    def test_one_odd_character_anywhere_is_refused(self, uri: str, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(uri)))
        odd = data.draw(st.characters(blacklist_characters="/-_", blacklist_categories=["Cs"]))
        if odd.isascii() and odd.isalnum():
            return
        self.assertIsNone(parse_resource_uri(uri[:at] + odd + uri[at:]))
