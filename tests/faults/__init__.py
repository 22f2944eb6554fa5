"""Faults of the disk and of the clock, by real means: nothing of Python is patched.

A small tmpfs is filled up, an ext4 image becomes read-only under the running process, and a shim
in C, loaded before the C library, makes system calls fail or hang and shifts the wall clock.
"""
