"""Joins and control frames at the server: what it reads, and what it refuses."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_code.protocol.frames import JOIN, PROTOCOL, FrameError, Join, control_frame, schema_hash

GOOD: dict[str, Any] = {
    "protocol": PROTOCOL,
    "client": "a",
    "instance": "i",
    "proof": {"token": "t"},
    "label": "y",
    "features": ["b", "c"],
    "schema": schema_hash("y", ["b", "c"]),
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def join_frame(**changes: object) -> bytes:
    """Return a join frame with parts replaced."""
    return control_frame(JOIN, **(GOOD | changes))


@given(label=st.text(), features=st.lists(st.text(), unique=True))
def test_the_order_of_features_does_not_change_the_hash(label: str, features: list[str]) -> None:
    """A client whose columns come in another order has the same schema."""
    assert schema_hash(label, features) == schema_hash(label, features[::-1])


def test_another_contract_is_another_schema() -> None:
    """With the same columns another contract, or none, makes another schema hash."""
    assert len({schema_hash("y", ("a", "b"), digest) for digest in ("", "one", "other")}) == 3


def test_a_join_frame_is_read() -> None:
    """A join holds what the frame says."""
    assert Join.from_frame(join_frame()) == Join(**(GOOD | {"features": ("b", "c")}))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_join_are_refused(body: bytes) -> None:
    """Whatever a stranger sends first, the answer is FrameError and nothing else."""
    for frame in (body, JOIN + body):
        with pytest.raises(FrameError):
            Join.from_frame(frame)


@given(part=st.sampled_from(sorted(GOOD)), value=json_values)
def test_a_join_of_other_types_is_refused_or_read(part: str, value: object) -> None:
    """Any JSON value in any part either makes a join of the declared types or raises FrameError."""
    try:
        join = Join.from_frame(join_frame(**{part: value}))
    except FrameError:
        return
    assert type(join.protocol) is int
    for text in (
        join.client,
        join.instance,
        join.label,
        join.schema,
        *join.features,
        *join.proof,
        *join.proof.values(),
    ):
        assert type(text) is str
        text.encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": float("inf")},
        {"protocol": True},
        {"protocol": "1"},
        {"client": None},
        {"proof": {"token": "\ud800"}},
        {"proof": {"\ud800": "t"}},
        {"proof": {"token": 1}},
        {"proof": "t"},
        {"features": "bc"},
        {"features": {"b": 1}},
        {"features": ["b", 1]},
    ],
)
def test_a_join_with_one_wrong_part_is_refused(changes: dict[str, object]) -> None:
    """Infinity, half a surrogate pair and text for a list are malformed, not a crash."""
    with pytest.raises(FrameError, match="malformed"):
        Join.from_frame(join_frame(**changes))


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_a_join_that_lacks_a_part_is_refused(missing: str) -> None:
    """Every part of the join is needed."""
    body = {key: value for key, value in GOOD.items() if key != missing}
    with pytest.raises(FrameError, match="malformed"):
        Join.from_frame(control_frame(JOIN, **body))


def test_a_deeply_nested_join_is_refused() -> None:
    """JSON deeper than Python's stack is malformed, not a crash."""
    with pytest.raises(FrameError, match="malformed"):
        Join.from_frame(JOIN + b"[" * 200_000)


def test_a_control_frame_is_its_kind_and_json() -> None:
    """The body of a control frame is JSON after one byte."""
    frame = control_frame(b"F", ok=False, reason="ü")
    assert (frame[:1], json.loads(frame[1:])) == (b"F", {"ok": False, "reason": "ü"})


def test_a_large_join_is_refused_unread() -> None:
    """The first frame is a few kilobytes; megabytes are not even parsed."""
    with pytest.raises(FrameError, match="more than 1000 bytes"):
        Join.from_frame(join_frame(label="y" * 1000), 1000)
