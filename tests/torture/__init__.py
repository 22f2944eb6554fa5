"""Kills a real watcher, over and over, and keeps a ledger of what it owed and of what arrived.

``python -m tests.torture --kills 300 --seed 7`` does it at length; the suite does it briefly.
``python -m tests.torture.mutants`` breaks the promises on purpose, to see that the suite notices.
"""
