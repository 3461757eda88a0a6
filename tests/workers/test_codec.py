"""Big payloads are compressed on the wire, small ones stay readable, and both come back as they were."""

import json
import zlib

import pytest
from temporalio.api.common.v1 import Payload

from model.base import Record
from workers.codec import THRESHOLD, CompressingCodec, data_converter


class _Fleet(Record):
    hosts: tuple[str, ...]


def _fleet(hosts: int) -> _Fleet:
    return _Fleet(hosts=tuple(f"compute-{number}" for number in range(hosts)))


async def test_what_is_big_is_small_on_the_wire_and_comes_back() -> None:
    fleet = _fleet(20_000)
    (payload,) = await data_converter.encode([fleet])
    assert payload.metadata["encoding"] == b"binary/xz"
    assert payload.ByteSize() < len(fleet.model_dump_json()) / 4
    assert await data_converter.decode([payload], [_Fleet]) == [fleet]


async def test_so_much_that_another_thread_compresses_it_comes_back_too() -> None:
    fleet = _fleet(100_000)
    assert len(fleet.model_dump_json()) > 1_000_000
    assert await data_converter.decode(await data_converter.encode([fleet]), [_Fleet]) == [fleet]


async def test_what_is_small_stays_readable() -> None:
    (payload,) = await data_converter.encode([_fleet(3)])
    assert payload.metadata["encoding"] == b"json/plain"
    assert json.loads(payload.data) == {"hosts": ["compute-0", "compute-1", "compute-2"]}


@pytest.mark.parametrize(("size", "encoding"), [(THRESHOLD - 100, b"binary/plain"), (THRESHOLD + 1, b"binary/xz")])
async def test_the_threshold_parts_them(size: int, encoding: bytes) -> None:
    (payload,) = await CompressingCodec().encode([Payload(metadata={"encoding": b"binary/plain"}, data=b"x" * size)])
    assert payload.metadata["encoding"] == encoding


async def test_metadata_comes_back_with_the_rest() -> None:
    payload = Payload(metadata={"encoding": b"json/plain", "messageType": b"x"}, data=b"y" * 100_000)
    assert await CompressingCodec().decode(await CompressingCodec().encode([payload])) == [payload]


async def test_what_older_histories_have_is_read() -> None:
    payload = Payload(metadata={"encoding": b"json/plain"}, data=_fleet(20_000).model_dump_json().encode())
    older = Payload(metadata={"encoding": b"binary/zlib"}, data=zlib.compress(payload.SerializeToString()))
    assert await data_converter.decode([older], [_Fleet]) == [_fleet(20_000)]


async def test_what_another_client_sent_is_read_as_it_is() -> None:
    """The ``temporal`` command and the web UI compress nothing."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=_fleet(20_000).model_dump_json().encode())
    assert await data_converter.decode([payload], [_Fleet]) == [_fleet(20_000)]
