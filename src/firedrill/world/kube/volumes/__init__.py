"""Claims and volumes: which belongs to which, who makes new ones, and what keeps them from going."""


def register() -> None:
    """Load the controllers of volumes, which put themselves among the others."""
    from firedrill.world.kube.volumes import attaching, controller, protection

    assert attaching.ATTACHER
    assert controller.VOLUME_BINDER
    assert protection.CLAIM_PROTECTION
