"""What the stream says: the Tutum vocabulary and how it is read from bytes."""
