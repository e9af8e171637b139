"""The control loops of a cluster. Importing the room makes all of them part of every world.

The API server imports `base`, and so this list: modules of the room take `events` as a module
(`from firedrill.world.kube import events`), not names out of it.
"""

import firedrill.world.kube.controllers.apiserver
import firedrill.world.kube.controllers.apiservices
import firedrill.world.kube.controllers.clusterroles
import firedrill.world.kube.controllers.crds
import firedrill.world.kube.controllers.cronjob
import firedrill.world.kube.controllers.daemonset
import firedrill.world.kube.controllers.deployment
import firedrill.world.kube.controllers.disruption
import firedrill.world.kube.controllers.endpoints
import firedrill.world.kube.controllers.endpointslices
import firedrill.world.kube.controllers.garbage
import firedrill.world.kube.controllers.hpa
import firedrill.world.kube.controllers.job
import firedrill.world.kube.controllers.namespaces
import firedrill.world.kube.controllers.podgc
import firedrill.world.kube.controllers.quota
import firedrill.world.kube.controllers.replicaset
import firedrill.world.kube.controllers.serviceaccounts
import firedrill.world.kube.controllers.statefulset  # noqa: F401
