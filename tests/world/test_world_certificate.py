"""Certificates in plain Python are those that a library makes."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill.world.sim.certificate import authority_extension, public_key, self_signed, sign

# RFC 8032, 7.1: tests 1, 3 and SHA(abc): private key, public key, message, signature
KNOWN = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("seed", "public", "message", "signature"), KNOWN)
def test_the_published_examples(seed: str, public: str, message: str, signature: str) -> None:
    assert public_key(bytes.fromhex(seed)).hex() == public
    assert sign(bytes.fromhex(seed), bytes.fromhex(message)).hex() == signature


@settings(max_examples=20, deadline=None)
@given(
    seed=st.binary(min_size=32, max_size=32),
    name=st.text("abcXYZ019 é.-", min_size=1, max_size=200),
    serial=st.integers(1, 2**64 - 1),
    years=st.integers(1, 60),
)
def test_a_library_makes_the_same_bytes(seed: bytes, name: str, serial: int, years: int) -> None:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding

    if len(name.encode()) > 64:  # the bound that X.520 sets to common names
        name = name[:32]
    begin = datetime(2025, 3, 1, 12, 30, 5, tzinfo=UTC)
    end = begin + timedelta(days=365 * years)
    key = Ed25519PrivateKey.from_private_bytes(seed)
    who = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder(who, who, key.public_key(), serial, begin, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None)
    )
    made = self_signed(seed, name, serial, begin, end, (authority_extension(),))
    assert made == builder.public_bytes(Encoding.PEM).decode()


def test_tls_takes_it_as_an_authority(tmp_path: Path) -> None:
    begin = datetime(2025, 3, 1, tzinfo=UTC)
    made = self_signed(b"\x07" * 32, "root", 9, begin, begin + timedelta(days=3650), (authority_extension(),))
    (tmp_path / "ca.pem").write_text(made, "ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(tmp_path / "ca.pem")
    (found,) = context.get_ca_certs()
    assert found["serialNumber"] == "09"
    assert found["subject"] == ((("commonName", "root"),),)
