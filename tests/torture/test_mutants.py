"""Tests of the mutants: each must still fit the source, or it proves nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.torture.mutants import MUTANTS, ROOT, Change, MutantError, apply


class MutantsTests(SynchronousTestCase):
    """A mutant changes what it says, once."""

    def test_each_fits_the_source(self) -> None:
        for mutant in MUTANTS:
            for change in mutant.changes:
                text = (ROOT / change.path).read_text("utf-8")
                self.assertNotEqual(change.changed(text), text, mutant.name)

    def test_one_that_does_not_fit_is_an_error(self) -> None:
        for text in ("nothing like it", "old and old"):
            with self.assertRaises(MutantError):
                Change("a.py", "old", "new").changed(text)

    def test_a_file_is_changed(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "a.py")
            file.write_text("the old one", "utf-8")
            apply([Change("a.py", "old", "new")], Path(folder))
            self.assertEqual(file.read_text("utf-8"), "the new one")
