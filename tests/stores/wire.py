"""A TCP proxy in front of a server that can lose an answer: the network fault no server makes."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Wire:
    """Forwards connections to `port`, but for what it is told to cut off or to lose."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._cut_after: bytes | None = None
        self._losing: bytes | None = None
        self._silent: bytes | None = None
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_answer(self, to: bytes) -> None:
        """Deliver the next request that contains `to`, and drop the connection at its answer."""
        self._cut_after = to

    def lose_requests(self, to: bytes) -> None:
        """Let no request that contains `to` through any more; its connection stays open."""
        self._losing = to

    def lose_answers(self, of: bytes) -> None:
        """Deliver nothing more on connections that have ever sent `of`; they stay open."""
        self._silent = of

    def close(self) -> None:
        self._listener.close()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [client, server]
                marked, sent = threading.Event(), bytearray()
                threading.Thread(
                    target=self._forward, args=(client, server, marked, sent), daemon=True
                ).start()
                threading.Thread(
                    target=self._return, args=(server, client, marked, sent), daemon=True
                ).start()

    def _forward(
        self,
        client: socket.socket,
        server: socket.socket,
        marked: threading.Event,
        sent: bytearray,
    ) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                sent += data
                if self._cut_after and self._cut_after in data:
                    self._cut_after = None
                    marked.set()
                if not (self._losing and self._losing in data):
                    server.sendall(data)

    def _return(
        self,
        server: socket.socket,
        client: socket.socket,
        marked: threading.Event,
        sent: bytearray,
    ) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if marked.is_set():
                    self.cuts += 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                if not (self._silent and self._silent in sent):
                    client.sendall(data)
