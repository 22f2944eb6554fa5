"""Tests of what we owe: its rows, the gate, the deliverer, and the service of them."""
