"""Schemas of all kinds: decoding, defaults, validation, OpenAPI documents."""

from firedrill.world.kube.schema.check.fields import FieldError
from firedrill.world.kube.schema.decode import Decoded, DecodeError, decode, decode_body, parse_json
from firedrill.world.kube.schema.defaults import default
from firedrill.world.kube.schema.definitions import Definitions, Schema, definitions, schema_for
from firedrill.world.kube.schema.openapi import (
    openapi_v3,
    openapi_v3_bytes,
    openapi_v3_digest,
    openapi_v3_index,
)
from firedrill.world.kube.schema.openapi_v2 import openapi_v2_bytes
from firedrill.world.kube.schema.validate import validate

__all__ = [
    "DecodeError",
    "Decoded",
    "Definitions",
    "FieldError",
    "Schema",
    "decode",
    "decode_body",
    "default",
    "definitions",
    "openapi_v2_bytes",
    "openapi_v3",
    "openapi_v3_bytes",
    "openapi_v3_digest",
    "openapi_v3_index",
    "parse_json",
    "schema_for",
    "validate",
]
