"""Bytes in: the WebSocket to the Tutum Stream, kept open."""
