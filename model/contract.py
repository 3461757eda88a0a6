"""The contract of a cloud's APIs: versions, microversions, the service catalogue, and the shape of real answers."""

from pydantic import ValidationError

from model.base import JsonObject, Record
from model.contract_shape import Shape

FORMAT = 1


class Offer(Record):
    """A version of an API: its status, and its least and greatest microversion; empty where it has none."""

    status: str = ""
    least: str = ""
    greatest: str = ""

    @property
    def text(self) -> str:
        """The microversions in words."""
        return f"{self.least} to {self.greatest}" if self.greatest else self.status.lower() or "offered"


class Answer(Record):
    """The answer to a call.

    Attributes:
        status: the HTTP status.
        shape: of its body; None for an error, and for what is no JSON.
        members: names in the answer that are part of the contract themselves, such as the aliases of extensions.
    """

    status: int
    shape: Shape | None = None
    members: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether it is no error."""
        return self.status < 400


class ApiContract(Record):
    """What one API promises.

    Attributes:
        versions: by id, as its version document has them.
        microversions: those at which it was asked; empty for an API that has none.
        answers: by call, with ``@`` and the microversion where there is one.
        picks: the ids of the objects that were shown, to show the same ones the next time.
    """

    versions: dict[str, Offer] = {}
    microversions: tuple[str, ...] = ()
    answers: dict[str, Answer] = {}
    picks: dict[str, str] = {}


class Parsed(Record):
    """What became of an operation of openstacksdk: its failure, or the shape of what it made of the answer."""

    error: str = ""
    shape: Shape | None = None


class Contract(Record):
    """The contract of a cloud at one moment.

    Attributes:
        cloud: its name.
        taken: when, ISO 8601 in UTC.
        via: the host whose instances were asked past the load balancer; empty for all through it.
        apis: by component.
        catalog: by service type the addresses, by interface and region.
        sdk: by operation; empty where a host's instances were asked.
    """

    cloud: str
    taken: str
    via: str = ""
    apis: dict[str, ApiContract] = {}
    catalog: dict[str, dict[str, str]] = {}
    sdk: dict[str, Parsed] = {}

    @property
    def calls(self) -> int:
        """How many calls were answered."""
        return sum(len(api.answers) for api in self.apis.values()) + len(self.sdk)

    def to_json(self) -> str:
        """Return the document as it is written to files."""
        return (
            self.model_copy()
            .model_dump_json(exclude_defaults=True, indent=1)
            .replace("{", f'{{\n "stackroll_contract": {FORMAT},', 1)
        )

    @classmethod
    def from_json(cls, text: str) -> "Contract":
        """Read a document back.

        Raises:
            ContractError: it is none, or of another format.
        """
        try:
            document = _Document.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            raise ContractError(
                f"no contract of a cloud ({'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}); "
                "`stackroll contract capture CLOUD.yaml -o FILE` writes one"
            ) from None
        if document.stackroll_contract != FORMAT:
            raise ContractError(f"a contract of format {document.stackroll_contract}; this stackroll reads {FORMAT}")
        # It has been validated: doing it again would take as long as all the rest of a comparison.
        return Contract.model_construct(**{name: getattr(document, name) for name in Contract.model_fields})


class _Document(Contract):
    stackroll_contract: int


class ContractError(ValueError):
    """Text that is no contract."""


def offers(document: JsonObject) -> dict[str, Offer]:
    """Return what an API's version document promises: each version by its id.

    Keystone nests its list one level deeper than the others; nova calls the greatest microversion ``version``.
    """
    versions = document.get("versions") or document.get("version") or []
    rows = versions.get("values", [versions]) if isinstance(versions, dict) else versions
    return {
        str(row["id"]): Offer(
            status=str(row.get("status") or ""),
            least=str(row.get("min_version") or ""),
            greatest=str(row.get("max_version") or row.get("version") or ""),
        )
        for row in rows
    }


def microversions(offered: dict[str, Offer], like: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return at which microversions to ask: the least and the greatest; or those of an earlier capture that it has."""
    ranges = [(one.least, one.greatest) for one in offered.values() if one.least and one.greatest]
    if not ranges:
        return ()
    least, greatest = max(ranges, key=lambda found: number(found[1]))
    if like:
        return tuple(one for one in like if number(least) <= number(one) <= number(greatest))
    return tuple(dict.fromkeys((least, greatest)))


def number(microversion: str) -> tuple[int, ...]:
    """Return a microversion to compare: 2.9 comes before 2.10. What is none comes first."""
    parts = microversion.removeprefix("v").split(".")
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else ()


def catalog_of(body: JsonObject) -> dict[str, dict[str, str]]:
    """Return keystone's catalog by service type: addresses by interface and region."""
    found: dict[str, dict[str, str]] = {}
    for service in body.get("catalog", []):
        places = found.setdefault(str(service["type"]), {})
        for endpoint in service.get("endpoints", []):
            places[f"{endpoint['interface']} {endpoint.get('region_id') or endpoint.get('region')}"] = endpoint["url"]
    return found
