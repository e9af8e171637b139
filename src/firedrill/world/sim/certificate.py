"""Self-signed certificates with Ed25519 keys, in plain Python: a cluster needs one, and no library for it.

Sources: RFC 8032 (Ed25519), RFC 5280 (certificates), RFC 8410 (Ed25519 in them). Not hardened against someone
who times it: only for keys that are no secret, or that live for one process on one machine.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from hashlib import sha512

Point = tuple[int, int, int, int]
"""Extended coordinates: x = X / Z, y = Y / Z, x * y = T / Z."""

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE_Y = 4 * pow(5, -1, _P) % _P
_BASE: Point = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % _P)
_ZERO: Point = (0, 1, 1, 0)

_ED25519 = bytes.fromhex("06032b6570")
_COMMON_NAME = bytes.fromhex("0603550403")
_SEQUENCE, _SET, _INTEGER, _BITS, _OCTETS, _UTF8 = 0x30, 0x31, 0x02, 0x03, 0x04, 0x0C
_FIRST_GENERALIZED = 2050


def _add(a: Point, b: Point) -> Point:
    e1 = (a[1] - a[0]) * (b[1] - b[0]) % _P
    e2 = (a[1] + a[0]) * (b[1] + b[0]) % _P
    c = 2 * a[3] * b[3] * _D % _P
    d = 2 * a[2] * b[2] % _P
    e, f, g, h = e2 - e1, d - c, d + c, e2 + e1
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times_base(number: int) -> bytes:
    """A multiple of the base point, encoded."""
    out, power = _ZERO, _BASE
    while number:
        if number & 1:
            out = _add(out, power)
        power = _add(power, power)
        number >>= 1
    inverse = pow(out[2], -1, _P)
    x, y = out[0] * inverse % _P, out[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _expanded(seed: bytes) -> tuple[int, bytes]:
    digest = sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
    return scalar, digest[32:]


def public_key(seed: bytes) -> bytes:
    """The public key, 32 bytes, of the private one."""
    return _times_base(_expanded(seed)[0])


def sign(seed: bytes, message: bytes) -> bytes:
    """The signature, 64 bytes."""
    scalar, prefix = _expanded(seed)
    nonce = int.from_bytes(sha512(prefix + message).digest(), "little") % _ORDER
    point, public = _times_base(nonce), _times_base(scalar)
    challenge = int.from_bytes(sha512(point + public + message).digest(), "little")
    return point + ((nonce + challenge * scalar) % _ORDER).to_bytes(32, "little")


def der(tag: int, *parts: bytes) -> bytes:
    """One value in DER, with its tag and length."""
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def _number(value: int) -> bytes:
    return der(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _moment(at: datetime) -> bytes:
    """UTC, in the one of two forms that the year asks for."""
    if at.year < _FIRST_GENERALIZED:
        return der(0x17, at.strftime("%y%m%d%H%M%SZ").encode())
    return der(0x18, at.strftime("%Y%m%d%H%M%SZ").encode())


def self_signed(
    seed: bytes, name: str, serial: int, begin: datetime, end: datetime, extensions: tuple[bytes, ...]
) -> str:
    """A certificate that its own key signs, as PEM.

    Args:
        seed: the private key, 32 bytes.
        name: the common name of subject and issuer.
        serial: greater than 0.
        begin, end: of its validity, in UTC.
        extensions: each an `Extension` in DER, as `der` makes them.
    """
    algorithm = der(_SEQUENCE, _ED25519)
    who = der(_SEQUENCE, der(_SET, der(_SEQUENCE, _COMMON_NAME, der(_UTF8, name.encode()))))
    body = der(
        _SEQUENCE,
        der(0xA0, _number(2)),
        _number(serial),
        algorithm,
        who,
        der(_SEQUENCE, _moment(begin), _moment(end)),
        who,
        der(_SEQUENCE, algorithm, der(_BITS, b"\0", public_key(seed))),
        der(0xA3, der(_SEQUENCE, *extensions)),
    )
    return pem("CERTIFICATE", der(_SEQUENCE, body, algorithm, der(_BITS, b"\0", sign(seed, body))))


def authority_extension() -> bytes:
    """Basic constraints: this is an authority; critical."""
    return der(
        _SEQUENCE,
        bytes.fromhex("0603551d13"),
        der(0x01, b"\xff"),
        der(_OCTETS, der(_SEQUENCE, der(0x01, b"\xff"))),
    )


def pem(label: str, content: bytes) -> str:
    """DER as text."""
    text = b64encode(content).decode("ascii")
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"
