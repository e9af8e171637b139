"""The plugins in the order of a real API server, and the ways through them."""

from __future__ import annotations

from dataclasses import replace

from firedrill.world.kube.admission.base import Attributes, Base, Plugin, mutate_through, validate_through
from firedrill.world.kube.admission.lifecycle import NamespaceLifecycle
from firedrill.world.kube.admission.limits import LimitRanger
from firedrill.world.kube.admission.node_restriction import NodeRestriction
from firedrill.world.kube.admission.pod_security import PodSecurity
from firedrill.world.kube.admission.policy import ValidatingAdmissionPolicy
from firedrill.world.kube.admission.quota import ResourceQuota
from firedrill.world.kube.admission.scheduling import (
    DefaultTolerationSeconds,
    Priority,
    RuntimeClass,
    TaintNodesByCondition,
)
from firedrill.world.kube.admission.service_account import ServiceAccount
from firedrill.world.kube.admission.storage import (
    DefaultIngressClass,
    DefaultStorageClass,
    PersistentVolumeClaimResize,
    StorageObjectInUseProtection,
)
from firedrill.world.kube.admission.webhooks import MutatingWebhook, ValidatingWebhook
from firedrill.world.kube.objects import Obj

CHAIN: tuple[Plugin, ...] = (
    NamespaceLifecycle(),
    LimitRanger(),
    ServiceAccount(),
    NodeRestriction(),
    TaintNodesByCondition(),
    PodSecurity(),
    Priority(),
    DefaultTolerationSeconds(),
    DefaultStorageClass(),
    StorageObjectInUseProtection(),
    PersistentVolumeClaimResize(),
    RuntimeClass(),
    DefaultIngressClass(),
    MutatingWebhook(),
    ValidatingAdmissionPolicy(),
    ValidatingWebhook(),
    ResourceQuota(),
)
_CHANGING = tuple(plugin for plugin in CHAIN if type(plugin).admit is not Base.admit)
_JUDGING = tuple(plugin for plugin in CHAIN if type(plugin).validate is not Base.validate)


def mutate(a: Attributes) -> tuple[Obj, list[str]]:
    """The object after every plugin that changes what comes in, and warnings.

    Raises:
        ApiError: a plugin refuses the request.
    """
    return mutate_through(_CHANGING, a)


def validate(a: Attributes) -> list[str]:
    """The warnings of every plugin that only judges.

    Raises:
        ApiError: a plugin refuses the request.
    """
    return validate_through(_JUDGING, a)


def admit(a: Attributes) -> tuple[Obj, list[str]]:
    """Both steps one after the other.

    Raises:
        ApiError: a plugin refuses the request.
    """
    obj, warnings = mutate(a)
    return obj, warnings + validate(replace(a, obj=obj) if a.obj is not None else a)
