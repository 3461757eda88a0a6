"""How data goes over the wire: pydantic's JSON, and what is big of it compressed.

Temporal's limits go by the bytes on the wire (a payload of 2 MB is refused), and a plan of a thousand hosts is bigger
in plain JSON. What is small stays as it is, so that ``temporal`` and the web UI show it.
"""

import asyncio
import dataclasses
import lzma
import zlib
from collections.abc import Callable, Sequence

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import PayloadCodec

# A plan repeats itself over more than the 32 kB that zlib looks back: xz makes it a third of that, in the same time.
ENCODING = b"binary/xz"
_READERS: dict[bytes, Callable[[bytes], bytes]] = {ENCODING: lzma.decompress, b"binary/zlib": zlib.decompress}
# Bytes of a whole payload. Orders, statuses and the steps of a host are far below, whatever the fleet's size.
THRESHOLD = 64 * 1024
# Bytes above which the work is left to another thread; it takes 10 ms and more.
_LONG = 1_000_000


class CompressingCodec(PayloadCodec):
    """Compresses payloads of more than ``THRESHOLD`` bytes; reads both kinds.

    A compressed payload has the metadata ``encoding: binary/xz``, and as data the original one, metadata and all; what
    is in older histories as ``binary/zlib`` is read as well.
    """

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Compress what is big."""
        return [await _apart(_compressed, payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Undo ``encode``; what it did not compress is handed on."""
        return [await _apart(_plain, payload) if _is_compressed(payload) else payload for payload in payloads]


async def _apart(work: Callable[[Payload], Payload], payload: Payload) -> Payload:
    return work(payload) if payload.ByteSize() < _LONG else await asyncio.to_thread(work, payload)


def _compressed(payload: Payload) -> Payload:
    if payload.ByteSize() <= THRESHOLD:
        return payload
    return Payload(metadata={"encoding": ENCODING}, data=lzma.compress(payload.SerializeToString(), preset=0))


def _is_compressed(payload: Payload) -> bool:
    return payload.metadata.get("encoding", b"") in _READERS


def _plain(payload: Payload) -> Payload:
    return Payload.FromString(_READERS[payload.metadata["encoding"]](payload.data))


# Of every client and every worker: what one writes, all others must be able to read.
data_converter = dataclasses.replace(pydantic_data_converter, payload_codec=CompressingCodec())
