"""Make the lab, take it away, bring it back: the stages in their order."""

from collections.abc import Callable
from datetime import UTC, datetime

from deploy.lab import (
    catalog,
    guests,
    health,
    machines,
    outputs,
    overlay,
    packages,
    prerequisites,
    provision,
    schema,
    states,
)
from deploy.lab import record as records
from deploy.lab.command import in_parallel
from deploy.lab.errors import SpecError
from deploy.lab.images import Images
from deploy.lab.progress import Progress
from deploy.lab.record import Record
from deploy.lab.settings import COMPUTE_UNITS, CONTROL_UNITS, RELEASES, LabSpec, Paths, Secrets, pristine_name


class Lab:
    """The one lab of this machine."""

    def __init__(self, paths: Paths, progress: Progress) -> None:
        self._paths = paths
        self._progress = progress

    def up(self, spec: LabSpec) -> Record:
        """Make the lab, or whatever of it is missing, and return when the cloud works.

        Raises:
            SpecError: Another lab is there.
            LabError: A stage failed; the same call resumes at it.
        """
        with self._progress.stage("prerequisites of this machine"):
            prerequisites.ensure()
        current = records.load(self._paths)
        if current and current.spec != spec:
            raise SpecError(
                f"another lab is up ({current.spec.describe()}), and only one exists at a time; "
                f"next: `stackroll lab down`, then `up` again for {spec.describe()}"
            )
        if current is None and states.exists(self._paths, pristine_name(spec)):
            return self.restore(pristine_name(spec))
        current = current or self._begin(spec)
        made_now = not current.complete
        if made_now:
            self._make(current)
        else:
            self._boot(current)
        self._wait_well(current)
        if made_now:
            # Only now: a lab that was up before may have been used, and is pristine no more.
            self.save(pristine_name(spec))
            states.drop_outdated(self._paths, pristine_name(spec))
            Images(self._paths, spec.release).drop_outdated(states.needed_layers(self._paths))
        return current

    def save(self, name: str) -> None:
        """Keep the cloud as it is now under a name."""
        with self._progress.stage(f"save {name}"):
            still = states.save(self._paths, name)
        self._progress.note(f"the cloud stood still for {still:.1f} s")

    def restore(self, name: str) -> Record:
        """Bring a saved cloud back in place of the current one, and return when it works."""
        prerequisites.ensure()
        with self._progress.stage(f"restore {name}"):
            current = states.restore(self._paths, name)
        self._boot(current)
        self._wait_well(current)
        return current

    def down(self, *, purge: bool = False) -> None:
        """Take the lab off this machine; with purge, caches and saved states too."""
        with self._progress.stage("end machines, unmount, remove namespaces, cgroups and bridge"):
            machines.remove_all(self._paths)
        with self._progress.stage("delete the lab's files"):
            overlay.discard(self._paths.state)
            if purge:
                overlay.discard(self._paths.cache)

    def _begin(self, spec: LabSpec) -> Record:
        images = Images(self._paths, spec.release)
        self._paths.state.mkdir(parents=True, exist_ok=True)
        # Services inside the hosts, which are not root, walk through it to what is mounted from it.
        self._paths.state.chmod(0o711)
        self._paths.layers.mkdir(parents=True, exist_ok=True)
        current = Record(spec, Secrets(), {host.name: images.chain(host) for host in spec.hosts})
        current.save(self._paths)
        return current

    def _stage(self, current: Record, title: str, work: Callable[[], object]) -> None:
        """Run a stage unless an earlier run finished it."""
        if title in current.done:
            self._progress.note(f"[dim]done before: {title}[/dim]")
            return
        with self._progress.stage(title):
            work()
        current.done.append(title)
        current.save(self._paths)

    def _make(self, current: Record) -> None:
        paths, spec, secrets = self._paths, current.spec, current.secrets
        images = Images(paths, spec.release)
        current.chains = {host.name: images.chain(host) for host in spec.hosts} if not current.done else current.chains
        self._stage(current, "base image, package cache", lambda: self._base(images, spec))
        self._stage(current, "layers: infrastructure, OpenStack", lambda: self._layers(images, spec))
        self._stage(current, "host files", lambda: self._provision(current))
        self._boot(current)
        self._stage(current, "databases", lambda: schema.create_databases(paths, spec, secrets))
        self._stage(current, "schemas, identities", lambda: self._schemas(spec, secrets))
        self._stage(current, "services", lambda: self._services(spec, secrets))
        self._stage(current, "flavor, image, guests", lambda: self._contents(spec, secrets, images))
        current.done.append("complete")
        current.save(paths)

    def _base(self, images: Images, spec: LabSpec) -> None:
        packages.build_repository(self._paths)
        order = sorted(RELEASES, key=lambda release: release not in {spec.release, spec.next_release})

        def warm() -> None:
            for release in order:
                packages.warm(self._paths, release)

        _both(images.build_base, warm)

    def _layers(self, images: Images, spec: LabSpec) -> None:
        def from_debian() -> None:
            # One after the other: apt locks the cache of packages that they share.
            images.build_infra()
            if spec.hypervisor == "qemu":
                images.build_libvirt()
                images.build_guest()

        _both(from_debian, images.build_release)

    def _provision(self, current: Record) -> None:
        provision.make_keys(self._paths, current.spec)
        provision.make_shared(self._paths)
        for host in current.spec.hosts:
            chain = current.chains[host.name]
            provision.provision(self._paths, current.spec, host, current.secrets, chain)
        outputs.write(self._paths, current.spec, current.secrets)

    def _boot(self, current: Record) -> None:
        with self._progress.stage(f"boot {len(current.spec.hosts)} machines"):
            if not self._paths.repository.exists():
                packages.build_repository(self._paths)
            machines.boot_all(self._paths, current.spec.hosts, current.chains)

    def _schemas(self, spec: LabSpec, secrets: Secrets) -> None:
        first = spec.controls[0]

        def identities() -> None:
            schema.keystone(self._paths, first, secrets)
            health.wait_api(secrets, "keystone", first)
            catalog.create_identities(spec, secrets)

        def small() -> None:
            schema.placement_and_glance(self._paths, first)

        def large() -> None:
            schema.nova(self._paths, first, secrets)
            schema.wait_messaging(self._paths, spec)

        _both(identities, small, large)

    def _services(self, spec: LabSpec, secrets: Secrets) -> None:
        schema.start(self._paths, spec.controls, CONTROL_UNITS)
        schema.start(self._paths, spec.computes, COMPUTE_UNITS)
        health.wait_apis(spec, secrets)

    def _contents(self, spec: LabSpec, secrets: Secrets, images: Images) -> None:
        health.wait_balancer(self._paths, spec)
        if spec.hypervisor == "qemu":
            flavor, image = catalog.create_real_flavor_and_image(secrets, images.guest)
        else:
            flavor, image = catalog.create_flavor_and_image(secrets)
        catalog.wait_computes(spec, secrets, lambda: schema.map_hosts(self._paths, spec.controls[0]))
        catalog.boot_guests(spec, secrets, flavor, image)

    def _wait_well(self, current: Record) -> None:
        spec, secrets = current.spec, current.secrets
        booted = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        with self._progress.stage("APIs answer with a token on every control host"):
            health.wait_apis(spec, secrets)
            health.wait_balancer(self._paths, spec)
        with self._progress.stage("nova's services are up, guests are settled"):
            health.wait_nova(spec, secrets, booted)
            if spec.hypervisor == "qemu":
                self._start_guests(current)
            health.wait_guests(secrets)

    def _start_guests(self, current: Record) -> None:
        guests.start(current.spec, current.secrets, current.running)
        # From now on nova knows what should run.
        current.running = []
        current.save(self._paths)


def _both(*works: Callable[[], object]) -> None:
    """Run works at the same time and wait for all of them."""
    in_parallel(lambda work: work(), works)
