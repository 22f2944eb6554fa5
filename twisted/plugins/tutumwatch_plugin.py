"""What twistd finds: names and module paths, importing nothing heavy."""

from twisted.application.service import ServiceMaker

from tutumwatch.notifiers.maker import NotifierMaker

tutumwatch = ServiceMaker(
    "tutumwatch",
    "tutumwatch.tap",
    "Watch the platform that runs your containers and tell people what they need to know.",
    "tutumwatch",
)
tutumbridge = ServiceMaker(
    "tutumbridge",
    "tutumwatch.bridge.tap",
    "Serve the Tutum Stream and REST API in front of a cloud.",
    "tutumbridge",
)

console = NotifierMaker("console", "tutumwatch.notifiers.console")
pagerduty = NotifierMaker("pagerduty", "tutumwatch.notifiers.pagerduty")
slack = NotifierMaker("slack", "tutumwatch.notifiers.slack")
