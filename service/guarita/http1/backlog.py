"""How many connections a listener's queue in the kernel holds."""

from __future__ import annotations

import socket
import struct
import sys

_UNACKED_AT = 24  # in struct tcp_info of linux/tcp.h
_UNACKED = struct.Struct("I")


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
