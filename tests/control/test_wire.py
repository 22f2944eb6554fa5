"""Tests of the lines that go over the control socket."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.control.wire import (
    IDS_MAX_COUNT,
    LINE_MAX_BYTES,
    PATH_MAX_BYTES,
    REMARK_MAX_CHARS,
    AskDrop,
    AskRetry,
    AskSilence,
    AskSilences,
    AskStatus,
    AskUnsilence,
    Fate,
    KnownSilence,
    NamedFate,
    Question,
    Reply,
    decode_question,
    decode_reply,
    encode_line,
    is_too_long,
    socket_path,
)

GREATEST_ID = 2**63 - 1
SILENCE_LINE = (
    b'{"command":"silence","match":[{"rule":"a"}],"starts":null,"ends":null,"lasts":60.0,'
    b'"comment":"why","by":"ann","preview":true}'
)


class QuestionTests(SynchronousTestCase):
    """What may be asked, and nothing else."""

    def test_there_and_back(self) -> None:
        for question, line in (
            (AskStatus(), b'{"command":"status"}'),
            (AskRetry((1, 2)), b'{"command":"retry","ids":[1,2]}'),
            (AskDrop((GREATEST_ID,)), b'{"command":"drop","ids":[9223372036854775807]}'),
            (AskSilences(), b'{"command":"silences"}'),
            (AskUnsilence(("5eaf00",)), b'{"command":"unsilence","names":["5eaf00"]}'),
            (
                AskSilence(({"rule": "a"},), None, None, 60.0, "why", "ann", preview=True),
                SILENCE_LINE,
            ),
        ):
            self.assertEqual(encode_line(question), line)
            self.assertEqual(decode_question(line), question)

    def test_the_longest_question_is_not_too_long(self) -> None:
        ids = tuple(range(GREATEST_ID - IDS_MAX_COUNT, GREATEST_ID))
        line = encode_line(AskRetry(ids))
        self.assertLess(len(line), LINE_MAX_BYTES)
        self.assertEqual(decode_question(line), AskRetry(ids))

    def test_rubbish(self) -> None:
        for line in (
            b"",
            b"GET / HTTP/1.1",
            b"[]",
            b"{}",
            b'{"command":"dance"}',
            b'{"command":"drop"}',
            b'{"command":"drop","ids":[0]}',
            b'{"command":"drop","ids":[9223372036854775808]}',
            b'{"command":"drop","ids":["1"]}',
            b'{"command":"drop","ids":1}',
            b'{"command":"status","ids":[1]}',
            b'{"command":"silence"}',
            b'{"command":"silence","match":{"name":"web"}}',
            b'{"command":"silence","match":["web"]}',
            b'{"command":"silence","match":[],"lasts":"2h"}',
            b'{"command":"silence","match":[],"lasts":1e999}',
            b'{"command":"silence","match":[],"lasts":NaN}',
            b'{"command":"unsilence","names":"5eaf00"}',
            json.dumps(
                {"command": "silence", "match": [], "comment": "x" * (REMARK_MAX_CHARS + 1)}
            ).encode(),
            json.dumps({"command": "unsilence", "names": ["x"] * (IDS_MAX_COUNT + 1)}).encode(),
            json.dumps({"command": "retry", "ids": list(range(1, IDS_MAX_COUNT + 2))}).encode(),
            b"\xff",
        ):
            with self.subTest(line=line[:50]):
                self.assertRaises(ValueError, decode_question, line)

    @given(st.binary(max_size=200))
    def test_any_bytes_are_a_question_or_an_error(self, line: bytes) -> None:
        for decode, kinds in ((decode_question, Question), (decode_reply, Reply)):
            try:
                decoded = decode(line)
            except ValueError:
                continue
            self.assertIsInstance(decoded, kinds)

    def test_a_reply_says_only_what_there_is(self) -> None:
        for reply, line in (
            (Reply(error="no"), b'{"error":"no"}'),
            (Reply(status={"ok": True}), b'{"status":{"ok":true}}'),
            (
                Reply(silences=(KnownSilence("n", "active", [], 1.5, 2.5),)),
                b'{"silences":[{"name":"n","state":"active","match":[],"starts":1.5,"ends":2.5}]}',
            ),
            (
                Reply(named_fates=(NamedFate("n", "removed", done=True),)),
                b'{"named_fates":[{"name":"n","became":"removed","done":true}]}',
            ),
            (
                Reply(fates=(Fate(7, "dropped", done=True),)),
                b'{"fates":[{"id":7,"became":"dropped","done":true}]}',
            ),
        ):
            self.assertEqual(encode_line(reply), line)
            self.assertEqual(decode_reply(line), reply)


class PathTests(SynchronousTestCase):
    """Where the socket is."""

    def test_it_lies_beside_the_store(self) -> None:
        self.assertEqual(socket_path("/var/lib/x.sqlite"), "/var/lib/x.sqlite.sock")

    def test_bytes_are_counted(self) -> None:
        self.assertFalse(is_too_long("a" * PATH_MAX_BYTES))
        self.assertTrue(is_too_long("a" * (PATH_MAX_BYTES + 1)))
        self.assertTrue(is_too_long("ä" * 54))
