"""Fake remote services: real servers on loopback that act as their documents say.

Each fake listens on 127.0.0.1 (port 0 by default), records what it receives, keeps the state that
the real service would keep, and can be told to misbehave: answers are scripted one by one
(:class:`tests.fakes.answers.Answer`), stream handshakes too
(:class:`tests.fakes.tutum_stream.Behaviour`), and a server may stop listening and come back on the
same port. Nothing in a test waits by sleeping: ``await fake.when(condition)`` fires as soon as the
condition holds. ``slack``, ``pagerduty`` and ``tutum`` also run alone (``python -m
tests.fakes.tutum``) for a demonstration without any account; ``tls`` makes a private certificate
authority. The fakes have tests of their own next to them, for a fake that is wrong makes a client
that is wrong.
"""
