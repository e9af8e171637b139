"""Whether a command of kubectl can be meant: its resources exist, and know what is asked of them."""

from __future__ import annotations

from collections.abc import Sequence

from firedrill.tools.errors import Mistake
from firedrill.tools.live.discovery import Resource, Resources
from firedrill.tools.live.kubectl_line import Command, rules

_ALL = frozenset({"all", "selector", "filename", "kustomize", "field-selector", "raw", "local"})
"""Options by which objects are chosen without their names."""
_POD_KINDS = frozenset(
    {"pods", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "services"}
    | {"replicationcontrollers", "cronjobs"}
)


def check(command: Command, known: Resources) -> None:
    """Look at a command before it is run.

    Raises:
        Mistake: it cannot be meant; says what could.
    """
    takes = rules()["takes"]
    _files(command)
    if command.verb in takes["types"]:
        _types(command, known)
    elif command.verb in takes["pod"]:
        _pod(command, known)
    elif command.verb in takes["node"]:
        if not command.words and not command.has("selector"):
            raise Mistake(
                f"`kubectl {command.verb}` needs the name of a node; `kubectl get nodes` lists them"
            )
    elif command.verb in takes["path"]:
        if not command.words:
            raise Mistake(f"`kubectl {command.verb}` needs a resource type, as in `deployment.spec.strategy`")
        known.find(command.words[0].partition(".")[0])
    elif command.path in (("apply",), ("replace",), ("create",)) and not command.has("filename", "kustomize"):
        raise Mistake(
            f"`kubectl {command.verb}` needs objects: give them in `manifest` and write -f -, or change "
            "one field with `kubectl patch`"
        )
    if command.rest and command.verb not in ("exec", "run", "create", "debug"):
        raise Mistake(f"`kubectl {command.verb}` takes nothing behind `--`")


def _files(command: Command) -> None:
    for name in ("filename", "kustomize"):
        for value in command.options.get(name, ()):
            if value.startswith(("http://", "https://")):
                raise Mistake(f"{value[:80]} cannot be reached from here; give its objects in `manifest`")


def objects_of(command: Command, known: Resources) -> list[tuple[Resource, str]]:
    """What a command names: resources with names, or "" for all of them."""
    words = list(command.words)
    if not words:
        return []
    if any("/" in word for word in words):
        found = []
        for word in words:
            if "/" not in word:
                # pairs such as `app=web`, `env-` or `container=image` stand behind the objects
                break
            kind, _, name = word.partition("/")
            found.append((known.find(kind), name))
        return found
    kinds = [known.find(kind) for kind in words[0].split(",") if kind and kind != "all"]
    names = [word for word in words[1:] if "=" not in word and not word.endswith("-")]
    return [(kind, name) for kind in kinds for name in (names or [""])]


def _types(command: Command, known: Resources) -> None:
    said = " ".join(command.path)
    if not command.words:
        if command.has("filename", "kustomize", "raw"):
            return
        raise Mistake(f"`kubectl {said}` needs a resource type, as in `kubectl {said} {_example(command)}`")
    if command.path == ("set", "subject"):
        return
    slashed = [word for word in command.words if "/" in word and "=" not in word]
    plain = [word for word in command.words if "/" not in word and "=" not in word and word[-1:] != "-"]
    if slashed and plain and command.verb not in ("taint",):
        raise Mistake(
            f"{slashed[0]!r} and {plain[0]!r} do not go together: write either TYPE/NAME TYPE/NAME "
            "or TYPE NAME NAME"
        )
    found = objects_of(command, known)
    for resource, _ in found:
        _known_verb(command, resource, known)
    nameless = command.words[0] == "all" or any(not name for _, name in found)
    if nameless and command.verb in rules()["named"] and not command.has(*_ALL):
        mend = " (or -l SELECTOR, or --all)" if command.verb != "patch" else ""
        raise Mistake(f"`kubectl {said}` needs the name of an object{mend}: {_example(command)}")
    if command.verb == "patch" and not command.has("patch", "patch-file"):
        raise Mistake('`kubectl patch` needs -p with the change, as in -p \'{"spec":{"replicas":2}}\'')
    if command.path[0] == "scale" and not command.has("replicas"):
        raise Mistake("`kubectl scale` needs --replicas=NUMBER")
    if command.verb == "wait" and not command.has("for"):
        raise Mistake("`kubectl wait` needs --for, as in --for=condition=Available or --for=delete")


def _known_verb(command: Command, resource: Resource, known: Resources) -> None:
    verb = command.verb
    only: Sequence[str] = rules()["only"].get(verb, ())
    if verb == "scale":
        only = sorted(item.plural for item in known.all if "scale" in item.subresources)
    if only and resource.plural not in only:
        what = {"scale": "scaled", "rollout": "rolled out", "autoscale": "scaled by an autoscaler"}
        raise Mistake(
            f"{resource.name} cannot be {what.get(verb, f'used with `kubectl {verb}`')}; "
            f"these can: {', '.join(only)}"
        )
    needed = rules()["needs"].get(verb, ())
    if needed and not set(needed) & resource.verbs:
        raise Mistake(
            f"{resource.name} knows no {' or '.join(needed)}; it knows {', '.join(sorted(resource.verbs))}"
        )
    if command.has("all-namespaces") and command.has("namespace"):
        raise Mistake("write either -n NAMESPACE or -A, not both")


def _pod(command: Command, known: Resources) -> None:
    verb = command.verb
    if not command.words:
        if verb == "logs" and command.has("selector"):
            return
        raise Mistake(f"`kubectl {verb}` needs a pod, as in `kubectl {verb} deploy/web`")
    first = command.words[0]
    if "/" in first:
        resource = known.find(first.partition("/")[0])
        if resource.plural not in _POD_KINDS:
            raise Mistake(f"{resource.name} have no pods of their own: name a pod or its workload")
    elif verb == "logs" and len(command.words) > 1 and first in ("pod", "pods", "po", "deployment", "deploy"):
        raise Mistake(f"write `kubectl logs {first}/{command.words[1]}`: the words stand for pod, container")
    if verb == "exec":
        if not command.rest:
            more = " ".join(command.words[1:]) or "COMMAND"
            raise Mistake(f"the command to run stands behind `--`: `kubectl exec {first} -- {more}`")
        if command.words[1:]:
            raise Mistake(f"{command.words[1]!r} belongs to nothing; a container is chosen with -c")


def _example(command: Command) -> str:
    return {
        "get": "pods",
        "describe": "pod NAME",
        "scale": "deployment NAME --replicas=2",
        "patch": "deployment NAME -p '{…}'",
        "label": "pod NAME key=value",
        "annotate": "pod NAME key=value",
        "taint": "nodes NAME key=value:NoSchedule",
        "wait": "pod/NAME --for=condition=Ready",
    }.get(command.verb, "deployment/NAME")
