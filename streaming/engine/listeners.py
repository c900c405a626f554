"""Bounds the silence of clients whose sockets a server does not show: by way of its listeners.

An accepted connection takes on the options of the socket that listened, so that the kernel ends it
where no one else can: a thread that is stuck in writing to it comes back with an error.
"""

import socket
from functools import cache

from streaming.engine.keep_alive import bound_silence
from streaming.engine.open_sockets import tcp_sockets


@cache
def bound_listeners(pid: int, *, seconds: float) -> None:
    """Bound the connections of this process's TCP listeners, those to come and those accepted.

    Args:
        pid: The process's id; it is done once in each, when all of them listen.
        seconds: See `bound_silence`.
    """
    ports = {sock.getsockname()[1] for _, sock in tcp_sockets() if _is_listening(sock)}
    for _, sock in tcp_sockets():
        if sock.getsockname()[1] in ports:
            bound_silence(sock, seconds=seconds)


def _is_listening(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
