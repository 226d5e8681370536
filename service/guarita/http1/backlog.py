"""A listener's queue in the kernel: how many connections it holds, and that no more come."""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress

_UNACKED_AT = 24  # in struct tcp_info of linux/tcp.h
_UNACKED = struct.Struct("I")
_SO_BINDTOIFINDEX = 62  # asm-generic/socket.h
_NO_INTERFACE = 2**31 - 1  # the kernel counts them from 1, and never comes so far


def unaccepted(listener: socket.socket) -> int:
    """Connections that wait to be accepted; 0 where the system does not tell.

    Of a listener Linux reports the length of that queue as `tcpi_unacked` (net/ipv4/tcp.c,
    tcp_get_info: "Report meaningful fields for all TCP states, including listeners").
    """
    if sys.platform != "linux" or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return 0
    size = _UNACKED_AT + _UNACKED.size
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
    return int(_UNACKED.unpack_from(info, _UNACKED_AT)[0])


def let_nobody_in(listener: socket.socket) -> None:
    """Refuse every new connection, and keep those that are in the queue; those whose handshake has
    begun come into it as ever.

    For good, and for every process that shares the listener. Whoever empties the queue after this
    may close: the kernel resets whom it lets in between the last look at the queue and the close.
    The listener is bound to an interface that there is not, so that nothing which comes is for it;
    Linux lets everybody do that since 5.7 (its commit c427bfec18f2). Where it cannot be done,
    nothing is.
    """
    if sys.platform == "linux" and listener.family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, _NO_INTERFACE)
