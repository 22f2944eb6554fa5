"""Ring 3: real sockets on loopback, fake servers, seconds rather than minutes."""
