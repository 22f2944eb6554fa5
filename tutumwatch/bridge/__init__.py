"""The server side of the Tutum Stream and REST API, in front of a cloud; it stands apart."""
