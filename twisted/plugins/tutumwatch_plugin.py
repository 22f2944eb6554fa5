"""What `twistd` learns about tutumwatch: names and module paths.

Twisted imports this module on every `twistd` command that anyone runs with this Python, so it
imports nothing but the record itself.
"""

from twisted.application.service import ServiceMaker

tutumwatch = ServiceMaker(
    "tutumwatch",
    "tutumwatch.tap",
    "Watch the platform that runs your containers and tell people what they need to know.",
    "tutumwatch",
)
