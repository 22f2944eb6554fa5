"""Measures tutumwatch beside two programs that do its main job, on this machine alone.

``make bench`` runs it all and writes docs/bench.md; ``python -m bench --help`` names the rest.
"""
