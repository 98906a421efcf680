"""State dicts are read from files assembled byte by byte, of PyTorch, and hostile ones."""

from __future__ import annotations

import io
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxplain.core.errors import ZooError
from onnxplain.zoo.legacy_pth import read_state_dict

# Opcodes of pickle protocol 2 (pickletools describes them).
PROTO, STOP, MARK, TUPLE, REDUCE = b"\x80\x02", b".", b"(", b"t", b"R"
PERSISTENT, EMPTY_TUPLE, SET_ITEMS, FALSE, NONE = b"Q", b")", b"u", b"\x89", b"N"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    raw = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def numbers(values: tuple[int, ...]) -> bytes:
    return MARK + b"".join(map(number, values)) + TUPLE


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


EMPTY_ORDERED = name("collections", "OrderedDict") + EMPTY_TUPLE + REDUCE


def storage(key: str, length: int, type_name: str = "FloatStorage", module: str = "torch") -> bytes:
    described = [
        text("storage"),
        name(module, type_name),
        text(key),
        text("cpu"),
        number(length),
        NONE,
    ]
    return MARK + b"".join(described) + TUPLE + PERSISTENT


def tensor(of: bytes, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> bytes:
    arguments = [of, number(offset), numbers(shape), numbers(strides), FALSE, EMPTY_ORDERED]
    return name("torch._utils", "_rebuild_tensor_v2") + MARK + b"".join(arguments) + TUPLE + REDUCE


def legacy_file(
    entries: dict[str, bytes], storages: dict[str, np.ndarray], tail: bytes = b""
) -> bytes:
    pickled = b"".join(text(key) + value for key, value in entries.items())
    state = PROTO + EMPTY_ORDERED + MARK + pickled + SET_ITEMS + STOP
    head = [
        pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    ]
    raw = [struct.pack("<q", array.size) + array.tobytes() for array in storages.values()]
    return b"".join([*head, state, pickle.dumps(list(storages), 2), *raw, tail])


SIX = np.arange(6, dtype="<f4")
GOOD = legacy_file({"weight": tensor(storage("0", 6), (2, 3), (3, 1))}, {"0": SIX})


def test_tensors_are_views_of_their_storage() -> None:
    entries = {
        "whole": tensor(storage("0", 6), (2, 3), (3, 1)),
        "transposed": tensor(storage("0", 6), (3, 2), (1, 3)),
        "part": tensor(storage("0", 6), (2,), (2,), offset=3),
        "count": tensor(storage("1", 1, "LongStorage"), (), ()),
        "empty": tensor(storage("0", 6), (0, 3), (3, 1)),
    }
    state = read_state_dict(legacy_file(entries, {"0": SIX, "1": np.array([7], "<i8")}))
    assert list(state) == list(entries)
    np.testing.assert_array_equal(state["whole"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(state["transposed"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(state["part"], [3, 5])
    assert state["count"] == 7
    assert state["count"].dtype == np.int64
    assert state["empty"].shape == (0, 3)


@pytest.mark.parametrize(
    "view",
    [
        tensor(storage("0", 6), (2, 3), (3, 1), offset=1),
        tensor(storage("0", 6), (2, 3), (4, 1)),
        tensor(storage("0", 6), (6,), (2**40,)),
        tensor(storage("0", 6), (2**40,), (0,)),
        tensor(storage("0", 6), (2,), (-1,), offset=1),
        tensor(storage("0", 6), (2,), (1,), offset=-1),
        tensor(storage("0", 6), (2, 3), (1,)),
        tensor(storage("0", 7), (6,), (1,)),
        tensor(storage("1", 6), (6,), (1,)),
        tensor(storage("0", -6), (6,), (1,)),
        tensor(storage("0", 6, "QInt8Storage"), (6,), (1,)),
        tensor(text("storage"), (6,), (1,)),
    ],
)
def test_tensors_that_do_not_fit_their_storage_are_errors(view: bytes) -> None:
    with pytest.raises(ZooError, match="not a readable state dict"):
        read_state_dict(legacy_file({"weight": view}, {"0": SIX}))


@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("collections", "defaultdict"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch", "load"),
        ("onnxplain.zoo.legacy_pth", "_Unpickler"),
    ],
)
def test_other_names_are_errors_before_they_are_called(
    module: str, attribute: str, capfd: pytest.CaptureFixture[str]
) -> None:
    call = name(module, attribute) + MARK + text("echo it ran") + TUPLE + REDUCE
    with pytest.raises(ZooError, match=f"{module}.{attribute}, which no state dict needs"):
        read_state_dict(legacy_file({"weight": call}, {"0": SIX}))
    assert "it ran" not in capfd.readouterr().out


def test_values_other_than_tensors_are_errors() -> None:
    with pytest.raises(ZooError, match="'epoch' is not a named tensor"):
        read_state_dict(legacy_file({"epoch": number(3)}, {}))


def test_every_truncation_is_an_error() -> None:
    for length in range(len(GOOD)):
        with pytest.raises(ZooError, match="not a readable state dict"):
            read_state_dict(GOOD[:length])


def test_data_after_the_end_is_an_error() -> None:
    with pytest.raises(ZooError, match="more data"):
        read_state_dict(GOOD + b"\0")


MEMO = ord("r")  # followed by four wild bytes it makes the unpickler ask for gigabytes


@given(st.data())
def test_damaged_file_is_read_or_is_an_error_but_never_crashes(data: st.DataObject) -> None:
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        value = data.draw(st.integers(0, 255).filter(lambda byte: byte != MEMO))
        damaged[data.draw(st.integers(0, len(GOOD) - 1))] = value
    try:
        state = read_state_dict(bytes(damaged))
    except ZooError:
        return
    assert all(array.size <= 6 for array in state.values())


@pytest.mark.framework
def test_state_written_by_torch_is_read() -> None:
    torch = pytest.importorskip("torch")
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = {
        "base": base,
        "view": base[1:3, ::2],
        "transposed": base.T,
        "half": base.half(),
        "double": base.double(),
        "long": torch.tensor([1, 2**40]),
        "flags": torch.tensor([True, False]),
        "scalar": torch.tensor(5),
    }
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=False)
    read = read_state_dict(file.getvalue())
    assert list(read) == list(state)
    for key, value in state.items():
        assert read[key].dtype == value.numpy().dtype
        np.testing.assert_array_equal(read[key], value.numpy())


@pytest.mark.framework
def test_newer_zip_format_is_an_error() -> None:
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, file)
    with pytest.raises(ZooError, match="not a readable state dict"):
        read_state_dict(file.getvalue())
