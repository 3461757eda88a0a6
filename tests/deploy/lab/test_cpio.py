"""The archive is taken apart again by the format's own rules."""

import gzip
import stat

from deploy.lab.cpio import File, archive, initramfs


def members(data: bytes) -> dict[str, tuple[int, tuple[int, int], bytes]]:
    """Return mode, device and content by name, in the order of the archive."""
    found: dict[str, tuple[int, tuple[int, int], bytes]] = {}
    place = 0
    while True:
        assert data[place : place + 6] == b"070701"
        fields = [int(data[place + 6 + 8 * number : place + 14 + 8 * number], 16) for number in range(13)]
        size, name_size = fields[6], fields[11]
        name = data[place + 110 : place + 110 + name_size]
        assert name.endswith(b"\0")
        begin = (place + 110 + name_size + 3) // 4 * 4
        if name == b"TRAILER!!!\0":
            return found
        found[name[:-1].decode()] = (fields[1], (fields[9], fields[10]), data[begin : begin + size])
        place = (begin + size + 3) // 4 * 4


def test_files_keep_content_and_mode() -> None:
    found = members(archive({"init": File(b"#!/bin/sh\n", 0o755), "lib/a.ko": File(b"\x7fELF")}))
    assert found["init"] == (stat.S_IFREG | 0o755, (0, 0), b"#!/bin/sh\n")
    assert found["lib/a.ko"] == (stat.S_IFREG | 0o644, (0, 0), b"\x7fELF")


def test_every_directory_comes_before_what_is_in_it() -> None:
    names = list(members(archive({"a/b/c": File(b""), "d/e": File(b"")})))
    assert names.index("a") < names.index("a/b") < names.index("a/b/c")
    assert names.index("d") < names.index("d/e")


def test_the_first_process_has_a_console() -> None:
    mode, device, _ = members(archive({}))["dev/console"]
    assert stat.S_ISCHR(mode)
    assert device == (5, 1)


def test_the_same_files_are_the_same_bytes() -> None:
    files = {"b": File(b"2"), "a": File(b"1")}
    assert initramfs(files) == initramfs(dict(reversed(files.items())))
    assert gzip.decompress(initramfs(files)) == archive(files)
