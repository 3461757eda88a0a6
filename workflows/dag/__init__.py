"""The DAG machine: pure, without I/O and without Temporal."""

from workflows.dag.machine import Machine, MachineError, Node, NodeState, compensation

__all__ = ["Machine", "MachineError", "Node", "NodeState", "compensation"]
