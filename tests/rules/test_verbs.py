"""Tests of how verbs are spelled."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.rules.verbs import past


class PastTests(SynchronousTestCase):
    """``was {{ action | past }}`` spells the verb right."""

    def test_verbs(self) -> None:
        for verb, spelled in (
            # the platform's
            ("create", "created"),
            ("update", "updated"),
            ("delete", "deleted"),
            ("start", "started"),
            ("stop", "stopped"),
            ("redeploy", "redeployed"),
            ("deploy", "deployed"),
            ("scale", "scaled"),
            ("terminate", "terminated"),
            ("run", "run"),
            ("upgrade", "upgraded"),
            ("cancel", "canceled"),
            ("retry", "retried"),
            # an engine's
            ("kill", "killed"),
            ("die", "died"),
            ("pause", "paused"),
            ("unpause", "unpaused"),
            ("attach", "attached"),
            ("commit", "committed"),
            ("copy", "copied"),
            ("destroy", "destroyed"),
            ("restart", "restarted"),
            ("resize", "resized"),
            ("mount", "mounted"),
            ("unmount", "unmounted"),
            ("connect", "connected"),
            ("remove", "removed"),
            ("prune", "pruned"),
            ("push", "pushed"),
            ("pull", "pulled"),
            ("load", "loaded"),
            ("tag", "tagged"),
            ("untag", "untagged"),
            ("exec", "executed"),
            ("exec_create", "exec_created"),
            # others
            ("drop", "dropped"),
            ("plug", "plugged"),
            ("unplug", "unplugged"),
            ("ship", "shipped"),
            ("scan", "scanned"),
            ("log", "logged"),
            ("map", "mapped"),
            ("remap", "remapped"),
            ("quit", "quitted"),
            ("submit", "submitted"),
            ("limit", "limited"),
            ("reap", "reaped"),
            ("fix", "fixed"),
            ("show", "showed"),
            ("enter", "entered"),
            ("free", "freed"),
            ("rerun", "rerun"),
            ("set", "set"),
            ("reset", "reset"),
            ("unset", "unset"),
            ("build", "built"),
            ("rebuild", "rebuilt"),
            ("begin", "begun"),
            ("undo", "undone"),
            ("redo", "redone"),
            ("write", "written"),
            ("overwrite", "overwritten"),
            ("unfreeze", "unfrozen"),
            ("get", "got"),
            ("send", "sent"),
            # already
            ("created", "created"),
            ("Failed", "Failed"),
            # as it came
            ("Create", "Created"),
            ("Stop", "Stopped"),
            ("", ""),
        ):
            self.assertEqual(past(verb), spelled)
