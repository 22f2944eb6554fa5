"""Rules for the workload that asks what rules cost that cannot match: three that may, and 200 more.

No event of a flood matches any of them, and what comes last is told by the rule "container" alone.
"""

from __future__ import annotations

MORE_COUNT = 200

# With the rule "service", which all workloads have, three may match a service.
FEW = """
[[incidents]]
name = "service down"
while = { type = "service", health = ["degraded", "down"] }
unless = { deploy = "running" }
for = "2m"
notify = ["slack"]

[[incidents]]
name = "service flaps"
each = { type = "service", health = "down" }
times = 3
within = "10m"
notify = ["slack"]
"""

# Of all forms; each is out of the question by a type, a state or an action.
_FORMS = (
    """
[[messages]]
name = "node {number}"
match = {{ type = "node", name = "node-{number}-*" }}
notify = ["slack"]
""",
    """
[[messages]]
name = "state {number}"
match = {{ type = "service", state = ["Stopped", "Not running"], name = "web-{number}" }}
notify = ["slack"]
""",
    """
[[messages]]
name = "action {number}"
match = {{ action = "redeploy", stack.name = "shop-{number}" }}
notify = ["slack"]
""",
    """
[[incidents]]
name = "node lost {number}"
while = {{ type = "node", state = "Unreachable", nodecluster.name = "cluster-{number}" }}
for = "1m"
notify = ["slack"]
""",
    """
[[incidents]]
name = "stopped {number}"
while = {{ type = "service", state = "Stopped", stack.name = "shop-{number}" }}
unless_open = "service down"
for = "1m"
notify = ["slack"]
""",
    """
[[incidents]]
name = "crash loop {number}"
each = {{ type = "container", state = "Stopped", ended = ["failed", "oom"] }}
times = 3
within = "{minutes}m"
per = "service"
notify = ["slack"]
""",
    """
[[incidents]]
name = "fails {number}"
each = {{ type = "action", state = "Failed" }}
times = {number}
within = "1h"
notify = ["slack"]
""",
    """
[[incidents]]
name = "no cluster {number}"
absent = {{ type = "nodecluster", name = "cluster-{number}" }}
for = "1h"
notify = ["slack"]
""",
)


def more_rules(count: int = MORE_COUNT) -> str:
    """Write so many rules, of every form in turn, no two of them the same."""
    return "".join(
        _FORMS[number % len(_FORMS)].format(number=number + 2, minutes=number + 2)
        for number in range(count)
    )
