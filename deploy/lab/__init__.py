"""A real OpenStack cloud on one machine, to roll upgrades over.

Hosts are systemd-nspawn machines with their own systemd, sshd and network; OpenStack runs in one virtual environment
per service and release. docs/lab.md says how it works.
"""
