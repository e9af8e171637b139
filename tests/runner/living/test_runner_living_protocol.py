"""What processes say to each other, and what becomes of errors on the way."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from firedrill.core.errors import InfrastructureError, InputError
from firedrill.runner.living.protocol import (
    MAX_FRAME,
    Closed,
    EpisodeSpec,
    pack,
    raised,
    read,
    receive,
    send,
    told,
)


def test_messages_and_descriptors_come_over() -> None:
    ours, theirs = socket.socketpair()
    readable, writable = os.pipe()
    with ours, theirs:
        send(ours, {"do": "first", "text": "ä" * 70_000})
        message, ends = receive(theirs)
        assert (message["do"], len(message["text"]), ends) == ("first", 70_000, [])
        send(ours, {"do": "second"}, writable)
        os.close(writable)
        message, ends = receive(theirs)
        assert message == {"do": "second"}
        os.write(ends[0], b"through")
        os.close(ends[0])
        assert os.read(readable, 20) == b"through"
        os.close(readable)


def test_the_end_of_the_other_side_is_told() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"\x00\x00\x00\x09{")
    theirs.close()
    with ours, pytest.raises(Closed):
        receive(ours)
    with pytest.raises(Closed):
        send(ours, {"do": "anything"})


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x00\x05{nope", (MAX_FRAME + 1).to_bytes(4, "big") + b"{}"])
async def test_what_is_no_message_closes(data: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    with pytest.raises(Closed):
        await read(reader)


async def test_messages_can_be_read_from_a_stream() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(pack({"id": 1}) + pack({"id": 2, "ok": [1, 2]}))
    assert [await read(reader), await read(reader)] == [{"id": 1}, {"id": 2, "ok": [1, 2]}]


def test_errors_stay_what_they_are() -> None:
    wrong = InputError("no such fault", source="x.yaml", field="faults.0.id", line=3, mend="take another")
    again = raised(told(wrong))
    assert isinstance(again, InputError)
    assert again.text() == wrong.text()
    assert isinstance(raised(told(InfrastructureError("the disk is full"))), InfrastructureError)


def test_what_an_episode_has_to_know_comes_over() -> None:
    spec = EpisodeSpec("/tmp/x", "secret", 1000, 3000, 5000, without=("traces",))
    assert EpisodeSpec.from_json(spec.to_json()) == spec
