"""What the lab on this machine is, and how far its making has got: lab.json in the state directory."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deploy.lab.errors import LabError
from deploy.lab.settings import LabSpec, Paths, Secrets


@dataclass
class Record:
    """State of the lab; every change is written at once.

    Attributes:
        spec: The shape it was asked to have.
        secrets: Its passwords.
        chains: Layers below each host, topmost first.
        done: Stages that are behind it.
        origin: Name of the saved state it was restored from, if any.
        running: Ids of the real guests that ran when that state was saved: a restore is a power failure to them.
    """

    spec: LabSpec
    secrets: Secrets
    chains: dict[str, list[Path]]
    done: list[str] = field(default_factory=list)
    origin: str = ""
    running: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether the cloud was finished once."""
        return "complete" in self.done

    def dump(self) -> str:
        """Return it as JSON."""
        plain = asdict(self)
        plain["chains"] = {name: [str(path) for path in chain] for name, chain in self.chains.items()}
        return json.dumps(plain, indent=1)

    @classmethod
    def parse(cls, text: str) -> "Record":
        """Read it from JSON."""
        plain = json.loads(text)
        return cls(
            LabSpec(**plain["spec"]),
            Secrets(**plain["secrets"]),
            {name: [Path(path) for path in chain] for name, chain in plain["chains"].items()},
            list(plain["done"]),
            plain["origin"],
            list(plain.get("running", [])),
        )

    def save(self, paths: Paths) -> None:
        """Write it."""
        partial = paths.record.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text(self.dump())
        partial.replace(paths.record)


def load(paths: Paths) -> Record | None:
    """Read the record, or return None when there is no lab."""
    return Record.parse(paths.record.read_text()) if paths.record.exists() else None


def require(paths: Paths) -> Record:
    """Read the record.

    Raises:
        LabError: There is no lab.
    """
    record = load(paths)
    if record is None:
        raise LabError(f"there is no lab in {paths.state}; next: stackroll lab up")
    return record
