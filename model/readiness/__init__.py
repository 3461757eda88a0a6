"""What a cloud must be like before an upgrade: judged, not read; the checks are listed in ``docs/check.md``.

One room for each thing that is judged. Each function takes what ``activities.facts`` and ``activities.readiness`` have
read, and returns findings.
"""
