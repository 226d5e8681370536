"""`python -m guarita.drill.relay PORT HOST:PORT`: passes each connection on, byte by byte.

It stands inside of a cluster, so that a drill outside of it goes through a Service: each connection
is a new one to it, as those of users are.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from guarita.config import Address


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def serve(port: int, to: Address) -> None:
    """Until it is killed."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(to.host, to.port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, there_writer), _pass_on(there_reader, writer))

    server = await asyncio.start_server(connected, None, port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Address.parse(sys.argv[2])))
