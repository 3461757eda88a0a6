"""What users gain from a release: a few sentences of our own for each, by service.

Source: ``cycle-highlights`` in ``deliverables/<series>/<service>.yaml`` of openstack/releases, and from there what a
user of the API notices without being an operator. A service or release of which nothing is known there says nothing
here: 2026.2 had no highlights yet when this was written (October 2026).
"""

from collections.abc import Iterable

_NOVA_2025_2 = """
Trusted members of a project can be given the new role manager, and with it tasks inside their project for which an
administrator was needed until now.

Guests with memory encryption can use AMD SEV-ES, which protects the state of the processor too, where the hardware has
it.
"""
_GLANCE_2025_2 = """
Uploads of images may say their size beforehand (header x-openstack-image-size), so that glance can check what arrived.
"""
_NOVA_2026_1 = """
Attaching a volume answers at once (202) from microversion 2.101 on, instead of waiting until it is done.

The disks of guests are served by a thread of their own, which leaves more of their processors to them.

Guests with a virtual TPM can be moved while they run, if their owner resizes them to a flavor that says so
(hw:tpm_secret_security=host).
"""
_HIGHLIGHTS = {
    ("2025.2", "nova"): _NOVA_2025_2,
    ("2025.2", "glance"): _GLANCE_2025_2,
    ("2026.1", "nova"): _NOVA_2026_1,
}


def highlights(release: str, services: Iterable[str]) -> tuple[str, ...]:
    """Return what users gain from a release of these services; empty where nothing is known."""
    texts = (_HIGHLIGHTS.get((release, service), "") for service in services)
    return tuple(" ".join(part.split()) for text in texts for part in text.split("\n\n") if part.strip())
