"""The way to Temporal: the standard profile and ``TEMPORAL_*``, or else the embedded server of ``stackroll dev``."""

import asyncio
import dataclasses

from temporalio.client import Client
from temporalio.envconfig import ClientConfigProfile
from temporalio.service import RPCError

from workers.codec import data_converter
from workers.settings import Settings

_LIMIT = 15.0
# What the SDK's messages say, deep within; the first that fits counts.
_REASONS = {
    "connection refused": "nothing listens there",
    "dns error": "there is no such host",
    "timeout": "no answer in time",
    "timed out": "no answer in time",
}


class Unreachable(Exception):  # noqa: N818 - named like the activity errors: it says what is the matter
    """Temporal does not answer; the message says where it was looked for and what to do."""


async def connect(settings: Settings | None = None) -> Client:
    """Connect to Temporal.

    The address, namespace, TLS and API key come from the profile in ``~/.config/temporalio/temporal.toml`` and from
    ``TEMPORAL_*`` (``temporalio.envconfig``), the same that the ``temporal`` command reads.

    Raises:
        Unreachable: when the server does not answer.
    """
    settings = settings or Settings()
    profile = ClientConfigProfile.load()
    if not profile.address:
        profile = dataclasses.replace(profile, address=settings.address)
    try:
        async with asyncio.timeout(_LIMIT):
            return await Client.connect(**profile.to_client_connect_config(), data_converter=data_converter)
    except (RPCError, RuntimeError, ValueError, TimeoutError) as error:
        raise Unreachable(
            f"Temporal does not answer at {profile.address}: {_reason(error)}\n"
            "Start the embedded one with `stackroll dev`, or name another by TEMPORAL_ADDRESS or a profile "
            "(`temporal config set --prop address --value HOST:PORT`)."
        ) from None


def _reason(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    known = (words for sign, words in _REASONS.items() if sign in text.lower())
    return next(known, text.splitlines()[0])
