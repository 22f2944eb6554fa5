"""Tests of variables, NAME_FILE, and what settings make of them."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.config.cases import FilesTestCase, environment_of, set_environment
from tutumwatch.config.environment import (
    SECRET_FILE_MAX_BYTES,
    Environment,
    UnsetError,
    read_secret_file,
    variables_in,
)

SECRET = "hunter2+correct/horse"


class GetTests(FilesTestCase):
    """A variable may be given itself, or as NAME_FILE; never both."""

    def test_a_variable(self) -> None:
        environment = environment_of({"KEY": SECRET})
        self.assertEqual(environment.get("KEY"), SECRET)
        self.assertIsNone(environment.get("OTHER"))

    def test_an_empty_variable_is_unset(self) -> None:
        self.assertIsNone(environment_of({"KEY": "", "KEY_FILE": ""}).get("KEY"))

    def test_a_file_that_a_variable_names(self) -> None:
        """The line break at its end is not part of the value; blanks are."""
        for content in (SECRET, f"{SECRET}\n", f"{SECRET}\r\n"):
            self.assertEqual(environment_of({"KEY_FILE": self.write(content)}).get("KEY"), SECRET)
        self.assertEqual(environment_of({"KEY_FILE": self.write(" a b \n")}).get("KEY"), " a b ")

    def test_an_empty_variable_leaves_the_choice_to_the_file(self) -> None:
        """Compose files set variables to nothing."""
        environment = environment_of({"KEY": "", "KEY_FILE": self.write(SECRET)})
        self.assertEqual(environment.get("KEY"), SECRET)

    def test_both_are_an_error_that_names_them(self) -> None:
        environment = environment_of({"KEY": SECRET, "KEY_FILE": "/run/secrets/key"})
        problem = self.assertRaises(ValueError, environment.get, "KEY")
        self.assertEqual(str(problem), "KEY and KEY_FILE are both set; unset one of them")

    def test_the_variables_are_not_printed(self) -> None:
        self.assertNotIn(SECRET, repr(environment_of({"KEY": SECRET})))


class SecretFileTests(FilesTestCase):
    """A file that cannot be used is an error that names the variable and the reason."""

    def assert_refused(self, path: str, said: str) -> None:
        """Fail unless reading a file is refused with these words."""
        problem = self.assertRaises(ValueError, read_secret_file, path, "KEY_FILE")
        self.assertEqual(str(problem), f"KEY_FILE: cannot read {said}")

    def test_a_file_that_is_not_there(self) -> None:
        self.assert_refused("/nowhere/key", "'/nowhere/key': No such file or directory")

    def test_a_folder(self) -> None:
        self.assert_refused("/", "'/': Is a directory")

    def test_an_empty_file(self) -> None:
        path = self.write("\n")
        self.assert_refused(path, f"{path!r}: it is empty")

    def test_a_file_that_is_no_text(self) -> None:
        path = self.write(b"\xff" + SECRET.encode())
        self.assert_refused(path, f"{path!r}: it is not UTF-8")

    def test_a_file_without_end(self) -> None:
        self.assert_refused(
            "/dev/zero", f"'/dev/zero': it has more than {SECRET_FILE_MAX_BYTES} bytes"
        )

    def test_the_largest_file(self) -> None:
        largest = "x" * SECRET_FILE_MAX_BYTES
        self.assertEqual(read_secret_file(self.write(largest), "KEY_FILE"), largest)

    def test_what_cannot_be_a_path(self) -> None:
        self.assert_refused("/a\0b", "'/a\\x00b': it is no path")

    def test_a_credential_in_the_place_of_a_path_is_not_repeated(self) -> None:
        self.assert_refused(SECRET, "the file that it names: No such file or directory")

    def test_no_cause_that_holds_the_content_is_kept(self) -> None:
        """A traceback that shows a cause's own values would show the credential."""
        path = self.write(SECRET.encode() + b"\xff")
        problem = self.assertRaises(ValueError, read_secret_file, path, "KEY_FILE")
        self.assertIsNone(problem.__cause__)
        self.assertIsNone(problem.__context__)


class ExpandTests(FilesTestCase):
    """``${NAME}`` and ``${NAME:-default}`` in a setting."""

    def test_variables(self) -> None:
        environment = environment_of(
            {"A": "1", "B_2": "2", "EMPTY": "", "C_FILE": self.write("3\n")}
        )
        for text, expanded in (
            ("plain", "plain"),
            ("${A}", "1"),
            ("x${A}y${B_2}z", "x1y2z"),
            ("${C}", "3"),
            ("${A:-other}", "1"),
            ("${D:-other}", "other"),
            ("${D:-}", ""),
            ("${EMPTY:-other}", "other"),
            ("${D:-a:-b}", "a:-b"),
            ("$A {A} $", "$A {A} $"),
        ):
            self.assertEqual(environment.expand(text), expanded, text)

    def test_what_a_variable_holds_is_not_expanded_again(self) -> None:
        self.assertEqual(environment_of({"A": "${B}", "B": "x"}).expand("${A}"), "${B}")

    def test_a_variable_that_is_not_set(self) -> None:
        for variables in ({}, {"A": ""}):
            problem = self.assertRaises(UnsetError, environment_of(variables).expand, "x${A}")
            self.assertEqual(problem.args, ("A",))

    def test_a_variable_that_is_misspelled_is_not_taken_for_text(self) -> None:
        for text in ("${A", "${}", "${1A}", "${A-b}", "${A:?b}", "${SLACK-URL}", "x ${ A } y"):
            problem = self.assertRaises(ValueError, environment_of({"A": "1"}).expand, text)
            self.assertEqual(
                str(problem), '"${" begins a variable; write ${NAME} or ${NAME:-default}'
            )

    def test_which_variables_a_setting_is_made_of(self) -> None:
        self.assertEqual(variables_in("a${B}c${D:-e}${"), ("B", "D"))


class OfProcessTests(SynchronousTestCase):
    """The environment that we were started in."""

    def test_it_has_the_variables_and_the_home_folder(self) -> None:
        set_environment(self, {"HOME": "/home/ops"})
        environment = Environment.of_process()
        self.assertEqual(environment.get("HOME"), "/home/ops")
        self.assertEqual(environment.home, Path("/home/ops"))
