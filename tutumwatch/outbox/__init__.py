"""What we still owe: one commit a batch, then delivery by lanes."""
