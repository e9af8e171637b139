"""One small, independent module per family of mechanisms."""

from __future__ import annotations

from firedrill.agents.sleuth.families import (
    admission,
    changes,
    chaos,
    complaints,
    crashes,
    images,
    nodes,
    policies,
    probes,
    references,
    scheduling,
    storage,
    wiring,
)
from firedrill.agents.sleuth.model import Family

FAMILIES: tuple[Family, ...] = (
    images.images,
    crashes.crashes,
    references.references,
    references.unmounted,
    references.missing_keys,
    nodes.busy_api,
    wiring.services,
    wiring.settings_addresses,
    wiring.routes,
    wiring.scaled_down,
    probes.probes,
    probes.odd_probes,
    admission.admission,
    admission.full_quotas,
    admission.no_room,
    admission.storage_quota,
    scheduling.scheduling,
    scheduling.preempted,
    storage.claims,
    nodes.nodes,
    nodes.units,
    nodes.sandboxes,
    nodes.together,
    policies.network_policies,
    policies.name_lookups,
    policies.mesh_policies,
    policies.name_resolution,
    policies.autoscalers,
    chaos.experiments,
    changes.changes,
    changes.comings_and_goings,
    changes.configurations,
    complaints.credentials,
    complaints.unreachable,
    complaints.alerted,
)
"""Every family that looks at objects, events, alerts and complaints. Add a function, and it is asked."""
