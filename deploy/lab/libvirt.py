"""What makes a compute host run QEMU guests: a layer with libvirt and QEMU from Debian, set up for nova and nspawn."""

PACKAGES = (
    "qemu-system-x86 qemu-utils libvirt-daemon-system libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients "
    "python3-libvirt"
)
# Debian's binding without the rest of dist-packages, which would hide what nova's environment pins.
PYTHON_PATH = "/opt/libvirt-python"
INSTANCES = "/var/lib/nova/instances"

# Guests run as nova's own user, so that their files have one owner; and without what a container does not have: a
# security module, cgroups to write to, mount namespaces, a log daemon beside the console's file.
_QEMU_CONF = """\
user = "openstack"
group = "openstack"
security_driver = "none"
remember_owner = 0
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
"""
# The group says who may connect, not polkit.
_LIBVIRTD_CONF = 'auth_unix_rw = "none"\n'
_SOCKET_CONF = "[Socket]\nSocketMode=0660\nSocketGroup=libvirt\n"
_SUDOERS = "openstack ALL=(root) NOPASSWD: /opt/openstack/nova/bin/privsep-helper *\nDefaults:openstack !requiretty\n"

PREPARE = f"""
mkdir -p {PYTHON_PATH} /etc/systemd/system/libvirtd.socket.d
cp /usr/lib/python3/dist-packages/libvirt*.py /usr/lib/python3/dist-packages/libvirtmod*.so {PYTHON_PATH}/
usermod --append --groups libvirt openstack
install -d -o openstack -g openstack {INSTANCES}
cat > /etc/libvirt/qemu.conf <<'END'
{_QEMU_CONF}END
cat > /etc/libvirt/libvirtd.conf <<'END'
{_LIBVIRTD_CONF}END
cat > /etc/systemd/system/libvirtd.socket.d/lab.conf <<'END'
{_SOCKET_CONF}END
cat > /etc/sudoers.d/nova <<'END'
{_SUDOERS}END
chmod 0440 /etc/sudoers.d/nova
# libvirt-guests would hold a reboot until every guest has ended: here a reboot ends them, as pulling the plug would.
systemctl mask -q libvirt-guests.service virtlogd.service virtlogd.socket virtlogd-admin.socket virtlockd.service \\
  virtlockd.socket virtlockd-admin.socket
systemctl enable -q libvirtd.service libvirtd.socket
"""

# Without the device and the capability, libvirt can start no guest and nova's privileged helper does not begin.
NSPAWN_OPTIONS = ("--bind=/dev/net/tun", "--capability=CAP_NET_ADMIN")
