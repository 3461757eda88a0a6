from pathlib import Path

import pytest

from deploy.lab import overlay
from deploy.lab.errors import SpecError


def test_layers_are_listed_topmost_first() -> None:
    text = overlay.options([Path("/c/saved"), Path("/c/base")], Path("/h/upper"), Path("/h/work"))
    assert text == "lowerdir=/c/saved:/c/base,upperdir=/h/upper,workdir=/h/work,index=off,metacopy=off"


@pytest.mark.parametrize("chain", [[], [Path("/a:b")], [Path("/a,b")], [Path("/" + "x" * 200)] * 30])
def test_chains_that_the_kernel_would_misread_are_refused(chain: list[Path]) -> None:
    with pytest.raises(SpecError):
        overlay.options(chain, Path("/u"), Path("/w"))


def test_our_mounts_are_found_last_first() -> None:
    mounts = (
        "/dev/vda / ext4 rw 0 0\n"
        "srlab /lab/hosts/a/root overlay rw,lowerdir=/x 0 0\n"
        "overlay /var/lib/docker overlay rw 0 0\n"
        "srlab /lab/hosts/b/root overlay rw,lowerdir=/x 0 0\n"
        "srlab /run/systemd/nspawn tmpfs rw 0 0\n"
    )
    assert overlay.ours(mounts) == ["/lab/hosts/b/root", "/lab/hosts/a/root"]
