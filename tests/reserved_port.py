"""A port of 127.0.0.1 that is nobody else's, also while nobody listens on it."""

import socket


def reserve_port() -> socket.socket:
    """Bind a socket that never listens; its port is kept until it is closed.

    Whoever connects meanwhile is refused, and who asks the system for any free port gets another.
    A server that may reuse addresses, as all of ours may, listens there all the same. A port that
    was found free and let go is anybody's: that of a test beside this one, for example.
    """
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    return kept
