"""Where pods go: filters, scores, pre-emption, and the queue of pods that wait for a node.

Importing the room makes the scheduler part of every world; its pure core is `choose.choose_node`.
"""

from firedrill.world.kube.scheduler.controller import SCHEDULER

__all__ = ["SCHEDULER"]
