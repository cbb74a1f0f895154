"""An SMTP server that accepts everything, and can take its time over each mail. Run as a program.

It offers PIPELINING (RFC 2920). It counts as `smtp-sink -c` does; with --moments, the moment of each
acceptance is written instead, by the monotonic clock that all processes share.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--delay", type=float, default=0, help="Seconds between a mail and the answer to it.")
parser.add_argument("--moments", type=int, default=0, help="1: write a line with the moment of each mail.")
parser.add_argument("port", type=int)

LONGEST_LINE = 1 << 20
GREETING = b"220 sink ESMTP\r\n"
CAPABILITIES = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"


class Server:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.taken = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        try:
            while line := await reader.readline():
                verb = line.split(None, 1)[0].upper() if line.strip() else b""
                if verb == b"DATA":
                    writer.write(b"354 Go ahead\r\n")
                    await self.take(reader)
                    writer.write(b"250 2.0.0 Ok\r\n")
                elif verb == b"EHLO":
                    writer.write(CAPABILITIES)
                elif verb == b"QUIT":
                    writer.write(b"221 2.0.0 Bye\r\n")
                    return
                else:
                    writer.write(b"250 2.0.0 Ok\r\n")
        except ConnectionError:
            pass  # of a client that was stopped
        finally:
            writer.close()

    async def take(self, reader: asyncio.StreamReader) -> None:
        """Read one mail, and return when it is accepted."""
        await reader.readuntil(b"\r\n.\r\n")
        if self.options.delay:
            await asyncio.sleep(self.options.delay)
        self.taken += 1
        if self.options.moments:
            print(time.monotonic(), flush=True)
        else:
            print(f"mesg={self.taken}", end="\r", flush=True)


async def main() -> None:
    options = parser.parse_args()
    server = Server(options)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", options.port, limit=LONGEST_LINE)
    async with listening:
        await listening.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
