"""Where pods go: filters, scores, pre-emption, and the queue of pods that wait for a node.

`register()` makes the scheduler part of every world; the pure core is `choose.choose_node`.
"""


def register() -> None:
    """Load the controller, which puts itself among the others."""
    from firedrill.world.kube.scheduler import controller

    assert controller.SCHEDULER
