"""Tests of where it goes: what each notifier sends, and how it reads the answers."""
