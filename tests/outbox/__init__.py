"""Tests of what we owe: the store in memory, the gate, the deliverer, and the service of them."""
