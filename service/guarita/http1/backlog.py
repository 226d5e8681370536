"""A listener's queue in the kernel: how many connections it holds, and that no more come."""

from __future__ import annotations

import ctypes
import socket
import struct
import sys

_UNACKED_AT = 24  # in struct tcp_info of linux/tcp.h
_UNACKED = struct.Struct("I")

_SO_ATTACH_FILTER = 26  # of asm-generic/socket.h; socket(7)
_INSTRUCTION = struct.Struct("HBBI")  # struct sock_filter of linux/filter.h
_PROGRAM = struct.Struct("HP")  # struct sock_fprog
_BPF_LOAD_BYTE, _BPF_JUMP_IF_ANY_SET, _BPF_RETURN = 0x30, 0x45, 0x06
_FLAGS_AT, _SYN = 13, 0x02  # in a TCP header: RFC 9293, 3.1
_BUT_NO_SYN = b"".join(
    _INSTRUCTION.pack(*instruction)
    for instruction in (
        (_BPF_LOAD_BYTE, 0, 0, _FLAGS_AT),
        (_BPF_JUMP_IF_ANY_SET, 0, 1, _SYN),
        (_BPF_RETURN, 0, 0, 0),
        (_BPF_RETURN, 0, 0, 0xFFFFFFFF),
    )
)


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
    """No connection begins here any more; those that have begun come into the queue as ever.

    For good, and for every process that shares the listener. Whoever empties the queue after this
    may close: between a look at the queue that finds nothing and the close, the kernel would let
    one in and reset it. A caller who comes now gets no answer, calls again after 1 s (RFC 6298,
    5.7) and is refused, since nobody listens by then. Does nothing where it is not Linux.
    """
    if sys.platform != "linux" or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return
    code = ctypes.create_string_buffer(_BUT_NO_SYN, len(_BUT_NO_SYN))
    program = _PROGRAM.pack(len(_BUT_NO_SYN) // _INSTRUCTION.size, ctypes.addressof(code))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
