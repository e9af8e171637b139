"""A Kubernetes cluster: kinds, store, API, controllers, scheduler, kubelet."""
