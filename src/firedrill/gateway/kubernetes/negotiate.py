"""What the client wants to read: plain objects, tables, or metadata alone.

Source: RFC 9110 and apiserver's `negotiation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from firedrill.world.kube.api import ApiError

_ACCEPTED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
_SHAPES = {"Table", "PartialObjectMetadata", "PartialObjectMetadataList"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The form of an answer.

    Attributes:
        shape: empty for the object itself, else Table, PartialObjectMetadata or PartialObjectMetadataList.
        version: of that shape in meta.k8s.io.
        yaml: YAML instead of JSON.
        discovery: the version of aggregated discovery that is asked for, or empty.
    """

    shape: str = ""
    version: str = "v1"
    yaml: bool = False
    discovery: str = ""


PLAIN = Wanted()


@lru_cache(maxsize=512)
def parse(accept: str) -> Wanted:
    """Choose among what an `Accept` header names.

    Raises:
        ApiError: 406, nothing of it can be served.
    """
    if not accept.strip():
        return PLAIN
    ranges = []
    for place, item in enumerate(accept[:4096].split(",")):
        media, *rest = (part.strip() for part in item.split(";"))
        params = {key.strip(): value.strip() for key, _, value in (part.partition("=") for part in rest)}
        ranges.append((-_quality(params.get("q", "1")), place, media.lower(), params))
    for quality, _, media, params in sorted(ranges, key=lambda entry: entry[:2]):
        if quality == 0:
            continue
        found = _serve(media, params)
        if found is not None:
            return found
    raise ApiError(406, "NotAcceptable", f"only the following media types are accepted: {_ACCEPTED}", {})


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 1.0


def _serve(media: str, params: dict[str, str]) -> Wanted | None:
    if media not in {"application/json", "application/*", "*/*", "application/yaml"}:
        return None
    yaml = media == "application/yaml"
    shape, group, version = params.get("as", ""), params.get("g", ""), params.get("v", "")
    if not shape:
        return Wanted(yaml=yaml)
    if group == "apidiscovery.k8s.io":
        if shape == "APIGroupDiscoveryList" and version in {"v2", "v2beta1"}:
            return Wanted(discovery=version)
        return None
    if shape in _SHAPES and group == "meta.k8s.io" and version in {"v1", "v1beta1"}:
        return Wanted(shape, version, yaml)
    return None
