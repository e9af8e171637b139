"""What the tests of played hosts need of this machine."""

from __future__ import annotations

import importlib.util
import shutil

import pytest

from firedrill.core.errors import FiredrillError
from firedrill.sandbox.bubblewrap import overlay_works, program
from firedrill.sandbox.toolroot import require


@pytest.fixture(scope="session", autouse=True)
def machine() -> None:
    """Skip where a host cannot be played."""
    try:
        program()
        overlay_works()
        require()
    except FiredrillError as error:
        pytest.skip(str(error))
    if importlib.util.find_spec("ansible") is None or shutil.which("faked-sysv") is None:
        pytest.skip("ansible-core or fakeroot is not installed")
