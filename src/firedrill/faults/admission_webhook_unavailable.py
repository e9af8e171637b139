"""the API server asks somebody about new pods who does not answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, add
from firedrill.faults._making import cause_of, delete_pods
from firedrill.faults.base import Fault, Parameter, register
from firedrill.faults.fitting import each_missed

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    space = args["service_namespace"]
    hook = {
        "name": f"pods.{args['name_of_hook']}.io",
        "clientConfig": {"service": {"namespace": space, "name": args["name_of_hook"], "path": "/validate"}},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]},
        ],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": args["namespace"]}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 5,
    }
    made = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": args["name_of_hook"]},
        "webhooks": [hook],
    }
    undo = add(world, made)
    delete_pods(world, args)
    return (f"cluster/ValidatingWebhookConfiguration/{args['name_of_hook']}", cause_of(args)), (undo,)


FAULT = register(
    Fault(
        id="admission-webhook-unavailable",
        title="the API server asks somebody about new pods who does not answer, and refuses them",
        parameters={
            **WORKLOAD,
            "name_of_hook": Parameter("name of the webhook's configuration and Service", "image-policy"),
            "service_namespace": Parameter("namespace of that Service", "kube-system"),
        },
        inject=_inject,
        shows="event:FailedCreate",
        family="admission",
        category="Resource Unavailable",
        text="A webhook has to agree to every new pod, and the Service behind it is not there any more. The "
        "workload's pods were deleted to be made anew, and none of the new ones is let in.",
        fits=each_missed,
    )
)
