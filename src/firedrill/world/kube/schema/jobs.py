"""The selector that a server makes for a Job which does not bring its own."""

from __future__ import annotations

from firedrill.world.kube.objects import Obj, dig, name_of, uid_of, with_path


def generate_job_selector(job: Obj) -> Obj:
    """The Job with labels on its template and a selector for its uid; as it is for a manual selector.

    The Job must have its name and uid. A Job that has a selector stays as it is, so an update does too.
    """
    if dig(job, "spec", "manualSelector") or dig(job, "spec", "selector") is not None:
        return job
    uid, name = uid_of(job), name_of(job)
    given = dig(job, "spec", "template", "metadata", "labels", default={})
    labels = {
        **given,
        "controller-uid": uid,
        "job-name": name,
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
    }
    out = with_path(job, ("spec", "template", "metadata", "labels"), labels)
    return with_path(out, ("spec", "selector"), {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})
