"""A plan as people and tools read it: a tree of text, Mermaid, Graphviz and JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from model.base import JsonObject
from model.plan import Action, Phase, Plan, Reversibility, Step
from model.status import Remaining
from model.words import count, duration

COMMIT_LINE = (
    "COMMIT POINT  before this line rollback loses no data; behind it only a restore of the databases goes back"
)
_INNER, _LAST = ("├─ ", "│  "), ("└─ ", "   ")
_Entry = tuple[str | None, list[Step]]
_FINAL = (Reversibility.R3, Reversibility.R4)
_STYLES = {
    Reversibility.R0: "fill:#eef2f5,stroke:#8a99a8,color:#1c2733",
    Reversibility.R1: "fill:#dff0e4,stroke:#3f8f5b,color:#12301d",
    Reversibility.R2: "fill:#fdf3d3,stroke:#b58a1b,color:#3a2c05",
    Reversibility.R3: "fill:#fde2cf,stroke:#c8692a,color:#42200a",
    Reversibility.R4: "fill:#f9d4d4,stroke:#b93636,color:#420e0e",
}


def commit_point(plan: Plan) -> str | None:
    """Return the id of the first step that rollback cannot take back without loss, or of the gate before it."""
    for step in plan.steps:
        if step.action is Action.GATE and step.params.get("gate") == "commit":
            return step.id
    return next((step.id for step in plan.steps if step.reversibility in _FINAL), None)


def as_json(plan: Plan, forecast: JsonObject | None = None) -> str:
    """Return the plan as JSON, with its hash, and a forecast where there is one."""
    content = plan.model_dump_json(indent=2, exclude_none=True)
    more = f'  "forecast": {json.dumps(forecast)},\n' if forecast is not None else ""
    return content.replace("{\n", f'{{\n  "hash": "{plan.hash}",\n{more}', 1)


def as_tree(
    plan: Plan,
    total: Remaining | None = None,
    *,
    forecast: Sequence[str] = (),
    seconds: Mapping[str, float] | None = None,
    full: bool = False,
    undo: bool = False,
) -> str:
    """Return the plan as a tree of text: phases, groups, steps, and the commit point as a line of its own.

    Args:
        plan: the plan.
        total: the whole upgrade's estimated seconds.
        forecast: lines that say more of it.
        seconds: what steps are expected to take, where something is known beyond the plan.
        full: write the steps of every host; otherwise a group that is like an earlier one takes one line.
        undo: write below each step how it is taken back.
    """
    tree = _Tree(
        width=max((len(step.title) for step in plan.steps), default=0) + 7, full=full, undo=undo, seconds=seconds or {}
    )
    lines = [*_header(plan, total), *forecast, ""]
    commit = commit_point(plan)
    for phase in plan.phases:
        members = [step for step in plan.steps if step.phase is phase]
        inside = any(step.id == commit for step in members)
        behind_gate = inside and plan.by_id[commit or ""].action is Action.GATE
        if inside and not behind_gate:
            lines += _commit_lines()
        lines.append(f"{phase.value}  {count(len(members), 'step')}")
        lines += tree.branches(_entries(members))
        lines += _commit_lines() if behind_gate else [""]
    return "\n".join([*lines, *_legend(plan)]) + "\n"


def _header(plan: Plan, total: Remaining | None) -> list[str]:
    limits = ", ".join(f"{name} {number}" for name, number in plan.limits.items()) or "none"
    lines = [
        f"{plan.cloud}  {plan.source} to {plan.target}   plan {plan.hash}   {count(len(plan.steps), 'step')}",
        f"at the same time at most: {limits}",
    ]
    if total is not None:
        lines.append(f"estimate: {between(total)}, approvals not counted")
    return lines


def between(total: Remaining) -> str:
    """Write a range of seconds."""
    low, high = duration(total.low), duration(total.high)
    return f"about {low}" if low == high else f"{low} to {high}"


def _commit_lines() -> list[str]:
    rule = "═" * len(COMMIT_LINE)
    return ["", rule, COMMIT_LINE, rule, ""]


def _legend(plan: Plan) -> list[str]:
    counts = {kind: sum(step.reversibility is kind for step in plan.steps) for kind in Reversibility}
    return [f"{kind.value}  {kind.meaning} ({count(n, 'step')})" for kind, n in counts.items() if n]


def _entries(steps: Sequence[Step]) -> list[_Entry]:
    """Group the steps of a phase: a group stands where its first step stands."""
    entries: dict[str, _Entry] = {}
    for step in steps:
        key = f"group {step.group}" if step.group is not None else f"step {step.id}"
        entries.setdefault(key, (step.group, []))[1].append(step)
    return list(entries.values())


@dataclass(frozen=True)
class _Tree:
    """How the branches of the tree are written."""

    width: int
    full: bool
    undo: bool
    seconds: Mapping[str, float]

    def branches(self, entries: Sequence[_Entry]) -> Iterator[str]:
        shapes: dict[tuple[str, ...], str] = {}
        for number, (group, steps) in enumerate(entries):
            fork, bar = _LAST if number == len(entries) - 1 else _INNER
            if group is None:
                yield from self._step(steps[0], fork, bar)
                continue
            same = shapes.setdefault(_shape(steps), group)
            alike = "" if same == group or self.full else f", like {same}"
            yield f"{fork}{group}  {count(len(steps), 'step')}{alike}"
            if not alike:
                yield from self._group(steps, bar)

    def _group(self, steps: Sequence[Step], indent: str) -> Iterator[str]:
        for number, step in enumerate(steps):
            fork, bar = _LAST if number == len(steps) - 1 else _INNER
            yield from self._step(step, indent + fork, indent + bar)

    def _step(self, step: Step, fork: str, bar: str) -> Iterator[str]:
        seconds = self.seconds.get(step.id, step.estimate)
        estimate = duration(seconds) if seconds else ""
        yield f"{fork + step.title:<{self.width}} {step.reversibility.value}  {estimate}".rstrip()
        if self.undo and step.undo is not None:
            yield f"{bar}  taken back by: {step.undo.title}"


def _shape(steps: Sequence[Step]) -> tuple[str, ...]:
    """What a group does, whichever host it does it on."""
    return tuple(f"{step.action} {step.title.replace(step.target, '*')} {step.reversibility}" for step in steps)


def as_mermaid(plan: Plan) -> str:
    """Return the plan as a Mermaid flowchart, for pages that show Mermaid (GitHub, GitLab)."""
    names = {step.id: f"s{number}" for number, step in enumerate(plan.steps)}
    lines = ["flowchart LR"]
    for phase in plan.phases:
        lines.append(f'  subgraph {phase.value}_phase["{phase.value}"]')
        for group, steps in _entries([step for step in plan.steps if step.phase is phase]):
            lines += _mermaid_entry(phase, group, steps, names)
        lines.append("  end")
    lines += [f"  {names[need]} --> {names[step.id]}" for step in plan.steps for need in step.needs]
    lines += [f"  classDef {kind.value} {style}" for kind, style in _STYLES.items()]
    return "\n".join(lines) + "\n"


def _mermaid_entry(phase: Phase, group: str | None, steps: Sequence[Step], names: dict[str, str]) -> Iterator[str]:
    nodes = [f"{names[s.id]}{_mermaid_shape(s)}:::{s.reversibility.value}" for s in steps]
    if group is None:
        yield from (f"    {node}" for node in nodes)
        return
    yield f'    subgraph {phase.value}_{names[steps[0].id]}["{_plain(group)}"]'
    yield from (f"      {node}" for node in nodes)
    yield "    end"


def _mermaid_shape(step: Step) -> str:
    label = f'"{_plain(step.title)}"'
    return f"{{{{{label}}}}}" if step.action is Action.GATE else f"[{label}]"


def _plain(text: str) -> str:
    return text.replace('"', "'")


def as_dot(plan: Plan) -> str:
    """Return the plan as a Graphviz digraph."""
    lines = [
        "digraph plan {",
        "  rankdir=LR; compound=true;",
        '  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=10];',
    ]
    for number, phase in enumerate(plan.phases):
        lines += [f"  subgraph cluster_{number} {{", f"    label={_quoted(phase.value)};"]
        for place, (group, steps) in enumerate(_entries([s for s in plan.steps if s.phase is phase])):
            lines += _dot_entry(f"cluster_{number}_{place}", group, steps)
        lines.append("  }")
    lines += [f"  {_quoted(need)} -> {_quoted(step.id)};" for step in plan.steps for need in step.needs]
    return "\n".join([*lines, "}"]) + "\n"


def _dot_entry(cluster: str, group: str | None, steps: Sequence[Step]) -> Iterator[str]:
    indent = "    " if group is None else "      "
    if group is not None:
        yield f"    subgraph {cluster} {{"
        yield f"      label={_quoted(group)};"
    for step in steps:
        shape = ", shape=hexagon" if step.action is Action.GATE else ""
        fill = _STYLES[step.reversibility].partition(",")[0].removeprefix("fill:")
        yield f'{indent}{_quoted(step.id)} [label={_quoted(step.title)}, fillcolor="{fill}"{shape}];'
    if group is not None:
        yield "    }"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
