"""Tests of what `twistd tutumwatch` is made of, and of what it says when it cannot start."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import cast

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogPublisher
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.config.cases import set_environment
from tests.fakes.tls import make_tls
from tests.secrets_check import RecordedLog, find_leaks
from tutumwatch.bridge.settings import DemoSettings
from tutumwatch.embedded import EmbeddedDemo
from tutumwatch.notifiers.outcomes import Delivered
from tutumwatch.notifiers.service import NotifierService
from tutumwatch.outbox.sqlite.files import Lock
from tutumwatch.outbox.store import IN_MEMORY, StoreUnusableError
from tutumwatch.rules.notice import Form, Notice
from tutumwatch.tap import Options, make_store, makeService

ROOT = Path(__file__).resolve().parent.parent
KEY = "0123456789abcdef0123456789abcdef"
TOKEN = "t0k3n-0123456789"
WEBHOOK = "https://hooks.slack.example/services/T0/B0/s3cr3t-w3bh00k"

TWO_STREAMS = """
[streams.main]
url = "wss://stream.example/v1/events"
user = "ops"
apikey = "t0k3n-0123456789"
ca_file = "CA"
[streams.lab]
url = "ws://lab.example/v1/events"
user = "ops"
apikey = "t0k3n-0123456789"
credentials = "query"
[status]
listen = "off"
[notifiers.console]
kind = "console"
[notifiers.slack]
kind = "slack"
url = "https://hooks.slack.example/services/T0/B0/s3cr3t-w3bh00k"
ca_file = "CA"
[notifiers.pd]
kind = "pagerduty"
key = "0123456789abcdef0123456789abcdef"
[notifiers.spare]
kind = "slack"
url = "${TUTUMWATCH_TEST_UNSET}"
optional = true
[[messages]]
name = "box"
match = { type = "container" }
notify = ["console", "spare"]
[[messages]]
name = "spare only"
match = { type = "container" }
notify = ["spare"]
[[incidents]]
name = "spare incident"
while = { type = "stream", state = "!Connected" }
notify = ["spare"]
"""


def run_python(source: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run some Python in a process of its own, with nothing in its environment but these."""
    return subprocess.run(
        [sys.executable, "-c", source],
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", ""), "HOME": "/nowhere", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class TapTestCase(SynchronousTestCase):
    """Gives each test a configuration file, and the log."""

    def setUp(self) -> None:
        """Write the file, with a private CA."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.store = self.folder / "state" / "outbox.sqlite"
        set_environment(self, {**os.environ, "TUTUMWATCH_STORE": str(self.store)})
        self.log = RecordedLog()
        self.addCleanup(self.log.stop)

    def write(self, text: str) -> str:
        """Write a configuration, and give its path."""
        path = self.folder / "watch.toml"
        path.write_text(text.replace('"CA"', f'"{self.folder}/ca.pem"'), "utf-8")
        return str(path)

    def parsed(self, *arguments: str) -> Options:
        """Give the options of a command line."""
        options = Options()
        options.parseOptions(arguments)
        return options


class OptionsTests(TapTestCase):
    """The command line, and what is wrong with it."""

    def test_a_configuration_is_loaded_at_once(self) -> None:
        make_tls(self.folder)
        options = self.parsed("--config", self.write(TWO_STREAMS))
        self.assertEqual([s.name for s in options["configuration"].streams], ["main", "lab"])
        short = self.parsed("-c", options["config"])
        self.assertEqual(short["configuration"].source, options["config"])

    def test_every_mistake_is_named(self) -> None:
        path = self.write('[streams.main]\nauth = "Basic eA=="\nulr = "x"\n[notifiers.x]\n')
        error = self.assertRaises(UsageError, self.parsed, "--config", path)
        first, second = str(error).splitlines()
        self.assertIn(f"{path}:3: streams.main.ulr: there is no such key", first)
        self.assertIn(f"{path}:4: notifiers.x: ", second)

    def test_a_file_that_is_not_there(self) -> None:
        error = self.assertRaises(UsageError, self.parsed, "-c", "/nowhere/watch.toml")
        self.assertIn("/nowhere/watch.toml", str(error))
        self.assertIn("No such file or directory", str(error))

    def test_words_that_nobody_understands(self) -> None:
        self.assertRaises(UsageError, self.parsed, "--confg", "x")
        self.assertRaises(UsageError, self.parsed, "start")

    def test_no_credentials_at_all(self) -> None:
        """The tutorial's words, and every way to provide some."""
        ended = run_python(
            "from tutumwatch.tap import Options\n"
            "from twisted.python.usage import UsageError\n"
            "try: Options().parseOptions([])\n"
            "except UsageError as error: print(error)\n"
        )
        self.assertIn("Please provide authentication credentials", ended.stdout)
        for name in ("TUTUM_AUTH", "TUTUM_USERNAME", "TUTUM_TOKEN", "TUTUM_USER", "~/.tutum"):
            self.assertIn(name, ended.stdout)

    def test_half_a_pair_is_named(self) -> None:
        ended = run_python(
            "from tutumwatch.tap import Options\n"
            "from twisted.python.usage import UsageError\n"
            "try: Options().parseOptions([])\n"
            "except UsageError as error: print(error)\n",
            TUTUM_USERNAME="ops",
        )
        self.assertIn("TUTUM_USERNAME is set but TUTUM_TOKEN is not", ended.stdout)

    def test_importing_the_tap_does_not_choose_a_reactor(self) -> None:
        """So that ``twistd --reactor=...`` can."""
        ended = run_python(
            "import sys, tutumwatch.tap\nprint('twisted.internet.reactor' in sys.modules)"
        )
        self.assertEqual((ended.stdout, ended.stderr), ("False\n", ""))


class DemoOptionsTests(TapTestCase):
    """``--demo``: a platform of its own, whatever the environment says of another one."""

    def test_its_platform_is_on_loopback(self) -> None:
        set_environment(self, {})
        one, other = (self.parsed("--demo")["configuration"].streams[0] for _ in range(2))
        for plan in (one, other):
            self.assertRegex(plan.url, r"\Aws://127\.0\.0\.1:\d+/v1/events\Z")
            self.assertEqual(plan.rest, plan.url.replace("ws://", "http://").removesuffix("/v1/events"))  # fmt: skip
        self.assertNotEqual(one.url, other.url)
        self.assertNotEqual(one.credentials, other.credentials)

    def test_nothing_of_another_platform_is_used(self) -> None:
        """Neither where it is nor its credentials, in whatever form they are given."""
        (self.folder / ".tutum").write_text(f"[auth]\nuser = ops\napikey = {TOKEN}\n")
        (self.folder / "key").write_text(TOKEN)
        theirs = {
            "TUTUM_AUTH": f"ApiKey ops:{TOKEN}", "TUTUM_USERNAME": "ops", "TUTUM_TOKEN": TOKEN,
            "TUTUM_USER": "ops", "TUTUM_APIKEY_FILE": str(self.folder / "key"), "TUTUM_PASS": TOKEN,
            "TUTUM_STREAM_URL": "wss://real.example", "TUTUM_STREAM_HOST": "wss://real.example",
            "TUTUM_BASE_URL": "https://real.example", "TUTUM_REST_HOST": "https://real.example",
            "HOME": str(self.folder),
        }  # fmt: skip
        set_environment(self, theirs)
        (plan,) = self.parsed("--demo")["configuration"].streams
        headers = {k: v.reveal() for k, v in plan.credentials.headers().items()}
        said = f"{plan.url} {plan.rest} {headers} {plan.credentials.query().reveal()}"
        self.assertEqual(find_leaks(said, [TOKEN]), [])
        self.assertNotIn("real.example", said)
        self.assertNotIn("ops", said)

    def test_other_variables_count(self) -> None:
        set_environment(self, {"SLACK_URL": WEBHOOK, "TUTUMWATCH_STATUS": "off"})
        configuration = self.parsed("--demo")["configuration"]
        self.assertEqual([plan.name for plan in configuration.notifiers], ["console", "slack"])
        self.assertEqual(configuration.status.listen, "off")

    def test_a_file_may_say_who_is_told(self) -> None:
        set_environment(self, {})
        text = '[streams.mine]\n[notifiers.only]\nkind = "console"\n'
        configuration = self.parsed("--demo", "-c", self.write(text))["configuration"]
        self.assertEqual([plan.name for plan in configuration.streams], ["mine"])
        self.assertEqual([plan.name for plan in configuration.notifiers], ["only"])

    def test_a_file_that_watches_something_else_is_a_mistake(self) -> None:
        """Else nobody would watch the demo, and somebody the real thing."""
        set_environment(self, {})
        path = self.write('[streams.main]\nurl = "wss://real.example/v1/events"\n')
        error = self.assertRaises(UsageError, self.parsed, "--demo", "-c", path)
        self.assertEqual(
            str(error),
            f"--demo: {path} watches something else; leave out url and rest of one of its streams",
        )

    def test_mistakes_in_a_file_are_named(self) -> None:
        path = self.write("[streams.main]\ncolour = 1\n")
        error = self.assertRaises(UsageError, self.parsed, "--demo", "-c", path)
        self.assertIn(f"{path}:2: streams.main.colour: there is no such key", str(error))

    def test_rates(self) -> None:
        for rate in ("0", "0.5", "10000"):
            self.parsed("--demo", "--rate", rate)
        for rate in ("-1", "10001", "nan", "inf"):
            error = self.assertRaises(UsageError, self.parsed, "--demo", "--rate", rate)
            self.assertEqual(str(error), f"--rate must be from 0 to 10000, not {float(rate)}")
        for name in ("rate", "seed"):
            self.assertRaises(UsageError, self.parsed, "--demo", f"--{name}=fast")

    def test_what_only_a_demo_has_is_not_ignored_without_one(self) -> None:
        for name in ("seed", "rate"):
            error = self.assertRaises(UsageError, self.parsed, f"--{name}=0")
            self.assertEqual(str(error), f"--{name} is of use with --demo alone")

    def test_the_bridge_is_a_child_and_closes_its_port_itself(self) -> None:
        """The number of a closed file is given to the next one, which must stay open."""
        reactor = MemoryReactorClock()
        demo = EmbeddedDemo(DemoSettings())
        bridge = demo.make_bridge(reactor)
        bridge.startService()
        self.addCleanup(bridge.stopService)
        opened = (self.folder / "next").open("w")
        self.addCleanup(opened.close)
        del demo
        gc.collect()
        opened.write("still open")
        opened.flush()
        self.assertEqual(bridge.name, "bridge")
        self.assertEqual(reactor.adoptedPorts[0][1], socket.AF_INET)

    def test_it_is_still_known_when_the_configuration_is_read_again(self) -> None:
        """Its port is another's by then."""
        set_environment(self, {"TUTUMWATCH_STATUS": "off"})
        path = self.write("[streams.mine]\n")
        options = self.parsed("--demo", "-c", path)
        makeService(options)
        self.assertEqual(options.load().streams, options["configuration"].streams)
        self.write('[streams.mine]\nurl = "wss://real.example/v1/events"\n')
        error = self.assertRaises(ValueError, options.load)
        self.assertIn("watches something else", str(error))

    def test_it_stands_between_the_notifiers_and_the_status(self) -> None:
        """It is there before the service manager is told that all has started."""
        set_environment(self, {"TUTUMWATCH_STATUS": "off"})
        service = cast("MultiService", makeService(self.parsed("--demo", "--rate", "0")))
        names = ["outbox", "pipeline", "stream:main", "notifier:console", "bridge", "status"]
        self.assertEqual([child.name for child in service], names)


class MakeServiceTests(TapTestCase):
    """The tree of services."""

    def make(self, text: str) -> MultiService:
        """Make the service of a configuration file."""
        make_tls(self.folder)
        return cast("MultiService", makeService(self.parsed("--config", self.write(text))))

    def test_everything_is_found_by_its_name(self) -> None:
        service = self.make(TWO_STREAMS)
        self.assertIsInstance(service, MultiService)
        names = [
            "outbox",
            "pipeline",
            "stream:main",
            "stream:lab",
            "notifier:console",
            "notifier:slack",
            "notifier:pd",
            "control",
            "status",
        ]
        self.assertEqual([child.name for child in service], names)
        for name in names:
            verifyObject(IService, service.getServiceNamed(name))
            self.assertFalse(service.getServiceNamed(name).running)

    def test_a_notifier_delivers(self) -> None:
        """One Deferred for a batch, one outcome for each notice."""
        notifier = cast(
            "NotifierService", self.make(TWO_STREAMS).getServiceNamed("notifier:console")
        )
        batch = [Notice(str(n), Form.MESSAGE, "rule", "console", "k", "hi", 1.0) for n in range(2)]
        delivered = notifier.deliver(batch)
        self.assertIsInstance(delivered, Deferred)
        self.assertEqual(self.successResultOf(delivered), [Delivered(), Delivered()])
        self.assertEqual(self.log.lines("tutumwatch.notifiers.console"), ["hi", "hi"])

    def test_one_line_says_what_is_on_and_what_is_off_and_why(self) -> None:
        self.make(TWO_STREAMS)
        (line,) = [e for e in self.log.events if e["log_namespace"] == "tutumwatch.assembly"]
        self.assertEqual(
            line["log_format"].format(**line),
            "watching stream main at stream.example, lab at lab.example; "
            "notifiers on: console, slack, pd; off: spare (TUTUMWATCH_TEST_UNSET is not set)",
        )

    def test_no_credential_is_in_what_is_logged_or_printed(self) -> None:
        service = self.make(TWO_STREAMS)
        printed = f"{service!r} {list(service)!r} {self.parsed('-c', self.write(TWO_STREAMS))!r}"
        secrets = [TOKEN, KEY, WEBHOOK, "s3cr3t-w3bh00k"]
        self.assertEqual(find_leaks(self.log.output + printed, secrets), [])

    def test_without_notifiers_it_says_so(self) -> None:
        self.make('[streams.main]\nauth = "Basic eA=="\n')
        (line,) = [e for e in self.log.events if e["log_namespace"] == "tutumwatch.assembly"]
        self.assertEqual(line["on"], "none")

    def test_the_log_publisher_is_left_alone(self) -> None:
        """How the log is written is twistd's business."""
        before = list(globalLogPublisher._observers)
        self.make(TWO_STREAMS)
        self.assertEqual(list(globalLogPublisher._observers), before)

    def test_the_store_is_made_at_once_and_locked(self) -> None:
        """Before anything is started: whoever starts us then sees that there is none to be had."""
        self.make(TWO_STREAMS)
        self.assertEqual(self.store.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.store.parent.stat().st_mode & 0o777, 0o700)
        said: list[str] = []
        error = self.assertRaises(
            StoreUnusableError, Lock(Path(f"{self.store}.lock")).take, said.append, 0.0
        )
        self.assertIn(f"another tutumwatch (process {os.getpid()}) holds", str(error))

    def test_a_store_that_cannot_be_made_ends_us_with_what_to_do(self) -> None:
        blocked = self.folder / "blocked"
        blocked.write_text("no folder")
        set_environment(self, {"TUTUMWATCH_STORE": str(blocked / "outbox.sqlite")})
        ended = self.assertRaises(SystemExit, self.make, TWO_STREAMS)
        self.assertEqual(
            ended.code,
            f"tutumwatch: the store {blocked}/outbox.sqlite.lock cannot be used: Not a directory; "
            "make its folder writable for this user, or name another file: path in [store], or "
            "TUTUMWATCH_STORE",
        )


class MakeStoreTests(TapTestCase):
    """The store with its lock and its thread."""

    def test_in_memory_there_is_no_file(self) -> None:
        make_store(IN_MEMORY, MemoryReactorClock(), lambda: 0.0)
        self.assertEqual(list(self.folder.iterdir()), [])
