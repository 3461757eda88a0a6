"""Places to which tests send: a mail server and a webhook on this machine, which keep what they are told."""

import asyncio
import contextlib
import email
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from typing import Any


@dataclass
class Mailbox:
    """What a mail server was given: each envelope's receivers, and the mail as its receiver would read it."""

    port: int = 0
    refuse: int = 0
    mails: list[tuple[tuple[str, ...], EmailMessage]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def to(self, receiver: str) -> list[EmailMessage]:
        return [mail for receivers, mail in self.mails if receiver in receivers]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak as much SMTP (RFC 5321) as a client needs that sends plain mails."""
        receivers: list[str] = []
        writer.write(b"220 sink\r\n")
        while line := await reader.readline():
            word = line.split()[0].upper() if line.split() else b""
            if word == b"RCPT":
                receivers.append(line.decode().partition("<")[2].partition(">")[0])
            if word == b"DATA":
                writer.write(b"354 go on\r\n")
                self._keep(tuple(receivers), (await reader.readuntil(b"\r\n.\r\n")).removesuffix(b".\r\n"))
                receivers = []
            if word == b"MAIL" and self.refuse:
                self.refuse -= 1
                writer.write(b"451 4.3.0 mailbox of postmaster is full\r\n")
            else:
                writer.write(b"221 bye\r\n" if word == b"QUIT" else b"250 sink\r\n")
            if word == b"QUIT":
                break
        writer.close()

    def _keep(self, receivers: tuple[str, ...], content: bytes) -> None:
        mail = email.message_from_bytes(content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.raw.append(content)
        self.mails.append((receivers, mail))


def text_of(mail: EmailMessage) -> str:
    """Return what a mail's reader reads."""
    body = mail.get_body(("plain", "html"))
    assert body is not None
    return str(body.get_content())


@dataclass
class Webhook:
    """What was posted to a webhook."""

    port: int = 0
    posts: list[dict[str, Any]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split()[0])
        self.posts.append(json.loads(await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def listening(sink: Mailbox | Webhook) -> AsyncIterator[None]:
    """Let a sink listen on a free port of this machine."""
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0)
    sink.port = server.sockets[0].getsockname()[1]
    async with server:
        yield
