"""What there is to say of one change in a line: whom it is about, how it is, what may explain it.

As in ``shop/web 2/3, exit 137 (OOM) on node-2, image 1.4 -> 1.5, deploy 4 min ago``. Only parts
that are known and say something are there; what is not known is left out.
"""

from __future__ import annotations

from typing import Any

from tutumwatch.inventory.deploys import DONE, NEVER, OVERDUE, ROLLED_BACK, RUNNING
from tutumwatch.inventory.deploys import FAILED as FAILED_DEPLOY
from tutumwatch.inventory.endings import CLEAN, FAILED, OOM
from tutumwatch.inventory.health import Wellness
from tutumwatch.inventory.resource import GONE_STATE
from tutumwatch.rules.verbs import past
from tutumwatch.rules.view import ABSENT, Unknown, View
from tutumwatch.rules.vocabulary import Path

SUMMARY: Path = ("summary",)
# What is looked up for a summary if it is not known: whose it is. All else is used if it is known,
# so that a line of news waits for names alone.
WANTED: frozenset[Path] = frozenset({("name",), ("service", "name"), ("stack", "name")})

_TYPE_WORDS = {"nodecluster": "node cluster"}
_BY_ITSELF = frozenset({CLEAN, FAILED, OOM})
# What an action may be about; the first of these that is known by name.
_SUBJECTS = ("stack", "node", "nodecluster")
_OUTCOMES = {DONE: "deploy", FAILED_DEPLOY: "deploy failed", ROLLED_BACK: "rolled back"}
_SCALING = "scaling"
_ILL = frozenset(wellness.value for wellness in Wellness if wellness.is_ill)
# What takes less than half a second, or was over when it was seen, has no length worth saying.
_NO_TIME = "0 s"
# So long a look-up may take that comes between a deploy's end and what is said of it.
_JUST_NOW = frozenset(f"{seconds} s" for seconds in range(11))
_DIGEST_CHARS = 12


def summary_of(view: View) -> str:
    """Say what there is to say of a change."""
    head = name_of(view)
    if counts := _counts_of(view):
        # A container's outcome is not that of the service whose counts stand before it.
        head = f"{head} {counts}" + ("," if _known(view, "type") == "container" else "")
    line = f"{head} {outcome_of(view)}".strip()
    return ", ".join((line, *_deploy_parts(view)))


def name_of(view: View) -> str:
    """Say whom a change is about; of a container that ended by itself, whose it was."""
    type_, own_name = _known(view, "type"), _own_name(view)
    if (type_ == "service" or _ended_by_itself(view)) and (service := _service_of(view)):
        return service
    if type_ == "container" and (stack := _known(view, "stack", "name")):
        return f"{stack}/{own_name}"
    if type_ == "action" and (subject := _subject_of(view)):
        return f"action on {subject}"
    return f"{_TYPE_WORDS.get(type_, type_)} {own_name}".strip()


def outcome_of(view: View) -> str:
    """Say in a few words what became of it: ``running``, ``exit 137 (OOM) on node-2``, ``gone``."""
    if _is_gone(view):
        return "gone"
    if _ended_by_itself(view):
        outcome = _exit_of(view)
    else:
        outcome = str(_known(view, "state") or past(_known(view, "action") or "")).lower()
    if _known(view, "type") == "container" and (node := _known(view, "node", "name")):
        outcome = f"{outcome} on {node}"
    if reason := _known(view, "reason"):
        outcome = f"{outcome}: {reason}"
    if blind := _known(view, "blind"):
        outcome = f"{outcome}; nothing was seen for {blind}"
    return outcome


def _known(view: View, *path: str) -> Any:  # noqa: ANN401 - the values of fields are of any kind
    """Give a value, or None: what is not known is not worth asking for, nor saying."""
    value = view.value(path)
    return None if value is ABSENT or isinstance(value, Unknown) else value


def _is_gone(view: View) -> bool:
    state = str(_known(view, "state") or "")
    return view.value(("kind",)) == "gone" or state.lower() == GONE_STATE


def _own_name(view: View) -> str:
    return _known(view, "name") or _known(view, "resource_uri") or _known(view, "uuid") or ""


def _service_of(view: View) -> str | None:
    """Give ``stack/service``, or None if the service is not known by name."""
    name, stack = _known(view, "service", "name"), _known(view, "stack", "name")
    if name is None:
        return None
    return f"{stack}/{name}" if stack else f"service {name}"


def _subject_of(view: View) -> str | None:
    if service := _service_of(view):
        return service
    names = ((type_, _known(view, type_, "name")) for type_ in _SUBJECTS)
    return next((f"{_TYPE_WORDS.get(t, t)} {name}" for t, name in names if name), None)


def _ended_by_itself(view: View) -> bool:
    """Say whether it is a container that ended though nobody had asked it to."""
    return _known(view, "type") == "container" and _known(view, "ended") in _BY_ITSELF


def _exit_of(view: View) -> str:
    ended, code = _known(view, "ended"), _known(view, "exit_code")
    why = "OOM" if ended == OOM else _known(view, "exit_code_msg")
    if code is None:
        return str(why or ended)
    return f"exit {code} ({why})" if why else f"exit {code}"


def _path_to_service(view: View) -> Path | None:
    """Give where the fields of the service stand of which the line tells; None if of none."""
    if _is_gone(view):
        return None
    if _known(view, "type") == "service":
        return ()
    return ("service",) if _ended_by_itself(view) else None


def _counts_of(view: View) -> str:
    """Give how many of a service run: ``2/3``; nothing if that is not known, or was before this."""
    service = _path_to_service(view)
    if service is None:
        return ""
    running, target = _known(view, *service, "running"), _known(view, *service, "target")
    if not isinstance(running, int) or not isinstance(target, int) or not target:
        return ""
    state = str(_known(view, *service, "state") or "").lower()
    is_so = _fits(state, running, target) or (not service and _is_ill_by_counts(view))
    return f"{running}/{target}" if is_so else ""


def _is_ill_by_counts(view: View) -> bool:
    """Say whether a service is ill whatever its state says, by counts that are as new as that."""
    changed = set(view.value(("changed",)))
    are_older = "state" in changed and not changed & {"running", "target"}
    return _known(view, "health") in _ILL and not are_older


def _fits(state: str, running: int, target: int) -> bool:
    """Say whether counts can be of a state: those that were looked up once may be old by now."""
    match state:
        case "running":
            return running >= target
        case "partly running":
            return 0 < running < target
        case "stopped" | "not running":
            return running == 0
        case _:
            return True


def _deploy_parts(view: View) -> list[str]:
    """Say what a deploy changed and when, if it was lately."""
    service = _path_to_service(view)
    told = None if service is None else _deploy_of(view, service)
    if service is None or told is None:
        return []
    return [part for part in (_images_of(view, service), told) if part]


def _images_of(view: View, service: Path) -> str:
    """Say what a deploy changed; of one before which there was nothing, what it brings."""
    before, after = _known(view, *service, "image_before"), _known(view, *service, "image")
    if not after or before == after:
        return ""
    return _images(str(before), str(after)) if before else f"image {str(after).partition('@')[0]}"


def _deploy_of(view: View, service: Path) -> str | None:
    """Say how the last deploy is; None if there was none lately, empty if that is plain."""
    deploy = _known(view, *service, "deploy")
    if deploy in {None, NEVER}:
        return None
    time = _known(view, *service, "deploy_time")
    # Of a container's service it is none: only what a change is about has changed.
    is_news = "deploy" in view.value(("changed",))
    if deploy == RUNNING:
        return "" if is_news else f"deploying for {time}"
    if deploy == OVERDUE:
        return f"deploy overdue, under way for {time}"
    outcome = _OUTCOMES[deploy]
    if is_news:
        if deploy == DONE:
            outcome = "scaled" if _was_scaled(view) else "deployed"
        between = "in" if deploy == DONE else "after"
        return outcome if time == _NO_TIME else f"{outcome} {between} {time}"
    ago = str(_known(view, *service, "deploy_ago"))
    if ago in _JUST_NOW:
        return f"{outcome} just now"
    return None if " h " in ago else f"{outcome} {_roughly(ago)} ago"


def _was_scaled(view: View) -> bool:
    """Say whether a deploy that has just ended changed how many run, and nothing else."""
    return str(_known(view, "before", "state") or "").lower() == _SCALING


def _roughly(time: str) -> str:
    """Leave out the seconds of a length of time that is more than a minute."""
    minutes, unit, _ = time.partition(" min")
    return minutes + unit


def _images(before: str, after: str) -> str:
    """Say which image took the place of which, as short as it is clear."""
    (old_name, *old), (new_name, *new) = _parts_of(before), _parts_of(after)
    if old_name != new_name:
        return f"image {before} -> {after}"
    # The same tag again: only what stands behind it differs.
    which = 1 if old[0] == new[0] and old[1] and new[1] else 0
    return f"image {old[which]} -> {new[which]}"


def _parts_of(image: str) -> tuple[str, str, str]:
    """Take apart ``host:5000/shop/web:1.4@sha256:...``: the name, the tag, the short digest."""
    tagged, _, digest = image.partition("@")
    folder, slash, last = tagged.rpartition("/")
    name, _, tag = last.partition(":")
    return f"{folder}{slash}{name}", tag or "latest", digest.rpartition(":")[2][:_DIGEST_CHARS]
