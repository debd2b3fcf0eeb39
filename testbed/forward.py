"""Forward localhost:5000 of a container to the testbed's registry, through a mounted socket.

Runs in the containers of `testbed/compose.yaml`, with what Python itself has.
"""

import asyncio

PORT = 5000
SOCKET = "/run/testbed/registry.sock"


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        there_reader, there_writer = await asyncio.open_unix_connection(SOCKET)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))


async def main() -> None:
    """Serve forever."""
    server = await asyncio.start_server(_serve, "127.0.0.1", PORT)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
