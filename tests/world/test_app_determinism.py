"""Traffic is the same on every machine: with other hash seeds, and without the vector units of newer ones."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_RUN = """
from hashlib import blake2b
from firedrill.world.app import load_package, traffic
from firedrill.world.build import make_world
package = load_package("online-boutique")
world = make_world(2, manifests=package.manifests, application=package.application, age_days=1)
client = __import__("firedrill.world.kube.api", fromlist=["Client"]).Client(world, trusted=True)
client.delete("services", "default", "cartservice")
world.run_for(300_000)
made = blake2b()
for number in range(1, 30):
    rows = traffic.rows_of(world, -number)
    for name in ("parent", "edge", "pod", "start", "duration", "kind", "server_duration", "waited", "cpu"):
        made.update(getattr(rows, name).tobytes())
print(world.digest(), made.hexdigest())
"""


def run(**variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _RUN],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_the_same_rows_on_older_processors_and_with_other_hashes() -> None:
    here = run(PYTHONHASHSEED="0")
    features = (
        "X86_V3 X86_V4 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR AVX2 FMA3"
    )
    older = run(PYTHONHASHSEED="777", NPY_DISABLE_CPU_FEATURES=features)
    assert here == older
