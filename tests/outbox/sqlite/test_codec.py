"""Tests of what is written as bytes: whatever was changed of it is noticed."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tests.outbox.cases import notice
from tests.outbox.sqlite.cases import message, resource, waiting
from tutumwatch.inventory.resource import Deploy
from tutumwatch.outbox.sqlite.codec import (
    DamagedError,
    decode_notice,
    decode_page,
    decode_resource,
    decode_waiting,
    encode_notice,
    encode_page,
    encode_resource,
    encode_waiting,
    seal,
    unseal,
)


class CodecTests(SynchronousTestCase):
    """Everything is read as it was written, or not at all."""

    def test_written_and_read(self) -> None:
        inputs = [message(1), message(2)]
        self.assertEqual(decode_page(encode_page(inputs, 7, 1.5), 7, 1.5), inputs)
        self.assertEqual(decode_notice(encode_notice(notice("x"))), notice("x"))
        self.assertEqual(decode_waiting(encode_waiting(waiting("w", "k"))), waiting("w", "k"))
        self.assertEqual(decode_resource(encode_resource(resource(1))), resource(1))

    def test_a_notice_that_was_written_before_it_said_whether_it_is_a_change(self) -> None:
        told = msgspec.to_builtins(notice("x"))
        del told["is_change"]
        self.assertEqual(decode_notice(seal(msgspec.msgpack.encode(told))), notice("x"))

    def test_a_resource_with_all_that_was_derived_of_it(self) -> None:
        deploy = Deploy("overdue", 1.5, None, "web:1")
        whole = replace(resource(1), ended="failed", was_stopping=True, deploy=deploy)
        self.assertEqual(decode_resource(encode_resource(whole)), whole)
        ended = replace(whole, deploy=Deploy("done", 1.5, 9.0))
        self.assertEqual(decode_resource(encode_resource(ended)), ended)

    def test_a_resource_of_an_older_version(self) -> None:
        """It knew nothing of deploys, nor of how a container ended."""
        kept = msgspec.to_builtins(resource(1))
        for name in ("ended", "was_stopping", "deploy"):
            del kept[name]
        self.assertEqual(decode_resource(seal(msgspec.msgpack.encode(kept))), resource(1))

    def test_what_stands_beside_it(self) -> None:
        """A checksum also covers the columns that tell what the bytes are of."""
        sealed = seal(b"content", "kind", "name")
        self.assertEqual(unseal(sealed, "kind", "name"), b"content")
        self.assertRaises(DamagedError, unseal, sealed, "kind", "game")
        self.assertRaises(DamagedError, unseal, sealed)
        self.assertRaises(DamagedError, decode_page, encode_page([], 7), 8)

    def test_another_lane(self) -> None:
        """A notice that is found in a lane of another key or notifier is not sent there."""
        sealed = encode_notice(notice("x", "key"))
        self.assertEqual(decode_notice(sealed, ("ops", "key")), notice("x", "key"))
        self.assertRaises(DamagedError, decode_notice, sealed, ("oqs", "key"))

    def test_what_no_column_of_bytes_holds(self) -> None:
        for value in (None, 1, 1.0, "text"):
            self.assertRaises(DamagedError, unseal, value)

    def test_whole_bytes_that_say_nothing(self) -> None:
        """A checksum that fits does not make a notice, nor what cannot be unpacked a page."""
        for decode in (decode_notice, decode_waiting, decode_resource, decode_page):
            self.assertRaises(DamagedError, decode, seal(b"\xc1 never used in msgpack"))

    @given(st.data())
    def test_any_flipped_bit(self, data: st.DataObject) -> None:
        """No single bit can change what is read."""
        sealed = bytearray(encode_notice(notice("what has happened", "service web")))
        place = data.draw(st.integers(0, len(sealed) - 1))
        sealed[place] ^= 1 << data.draw(st.integers(0, 7))
        self.assertRaises(DamagedError, decode_notice, bytes(sealed))

    @given(st.binary())
    def test_any_bytes(self, content: bytes) -> None:
        """Any bytes are refused, with the one error."""
        for decode in (decode_notice, decode_waiting, decode_resource, decode_page):
            self.assertRaises(DamagedError, decode, content)
            self.assertRaises(DamagedError, decode, seal(content))
