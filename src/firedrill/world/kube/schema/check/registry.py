"""Which rules hold for which resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from firedrill.world.kube.objects import Obj
from firedrill.world.kube.schema.check import (
    batch,
    cluster,
    configuration,
    definitions,
    pods,
    registrations,
    services,
    storage,
    workloads,
)
from firedrill.world.kube.schema.check.fields import Errors

Rule = Callable[[Errors, Obj], None]
Change = Callable[[Errors, Obj, Obj], None]

CREATE: Mapping[str, Rule] = {
    "pods": pods.check_pod,
    "replicationcontrollers": workloads.check_replication_controller,
    "deployments.apps": workloads.check_deployment,
    "replicasets.apps": workloads.check_replica_set,
    "statefulsets.apps": workloads.check_stateful_set,
    "daemonsets.apps": workloads.check_daemon_set,
    "jobs.batch": batch.check_job,
    "cronjobs.batch": batch.check_cron_job,
    "services": services.check_service,
    "endpoints": cluster.check_endpoints,
    "endpointslices.discovery.k8s.io": cluster.check_endpoint_slice,
    "events": cluster.check_event,
    "nodes": cluster.check_node,
    "ingresses.networking.k8s.io": services.check_ingress,
    "networkpolicies.networking.k8s.io": services.check_network_policy,
    "configmaps": configuration.check_config_map,
    "secrets": configuration.check_secret,
    "resourcequotas": configuration.check_resource_quota,
    "limitranges": configuration.check_limit_range,
    "roles.rbac.authorization.k8s.io": configuration.check_role,
    "clusterroles.rbac.authorization.k8s.io": configuration.check_role,
    "rolebindings.rbac.authorization.k8s.io": configuration.check_role_binding,
    "clusterrolebindings.rbac.authorization.k8s.io": configuration.check_role_binding,
    "horizontalpodautoscalers.autoscaling": configuration.check_autoscaler,
    "poddisruptionbudgets.policy": configuration.check_budget,
    "priorityclasses.scheduling.k8s.io": configuration.check_priority_class,
    "persistentvolumeclaims": storage.check_claim,
    "persistentvolumes": storage.check_volume,
    "storageclasses.storage.k8s.io": storage.check_storage_class,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": registrations.check_webhooks,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": registrations.check_webhooks,
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": registrations.check_policy_binding,
    "leases.coordination.k8s.io": registrations.check_lease,
    "ingressclasses.networking.k8s.io": registrations.check_ingress_class,
    "runtimeclasses.node.k8s.io": registrations.check_runtime_class,
    "certificatesigningrequests.certificates.k8s.io": registrations.check_certificate_request,
    "customresourcedefinitions.apiextensions.k8s.io": definitions.check_definition,
}
ALONE = frozenset({"cronjobs.batch"})
"""What holds of a change of these is said in UPDATE alone."""
UPDATE: Mapping[str, Change] = {
    "pods": pods.check_pod_change,
    "deployments.apps": workloads.selector_stays,
    "replicasets.apps": workloads.selector_stays,
    "daemonsets.apps": workloads.selector_stays,
    "statefulsets.apps": workloads.stateful_stays,
    "jobs.batch": batch.job_stays,
    "cronjobs.batch": batch.check_cron_job_change,
    "ingressclasses.networking.k8s.io": registrations.ingress_class_stays,
    "runtimeclasses.node.k8s.io": registrations.runtime_class_stays,
    "services": services.service_stays,
    "endpointslices.discovery.k8s.io": cluster.endpoint_slice_stays,
    "configmaps": configuration.config_map_stays,
    "secrets": configuration.secret_stays,
    "rolebindings.rbac.authorization.k8s.io": configuration.role_binding_stays,
    "clusterrolebindings.rbac.authorization.k8s.io": configuration.role_binding_stays,
    "priorityclasses.scheduling.k8s.io": configuration.priority_class_stays,
    "persistentvolumeclaims": storage.claim_stays,
    "persistentvolumes": storage.volume_stays,
    "storageclasses.storage.k8s.io": storage.storage_class_stays,
}
