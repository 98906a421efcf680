"""Sessions are set up for their device: providers in order, with options, and no spinning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from onnxplain.runtime.device import PROVIDERS, Device
from onnxplain.runtime.ort import (
    TELEMETRY,
    get_ort_version,
    import_runtime,
    list_providers,
    make_options,
)
from tests.helpers import models


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cpu", ["cpu"]),
        ("cuda:1", ["cuda", "cpu"]),
    ],
)
def test_the_providers_of_a_device_end_with_the_cpu(device: str, expected: list[str]) -> None:
    providers = list_providers(Device.parse(device), tf32=False)
    names = [entry if isinstance(entry, str) else entry[0] for entry in providers]
    assert names == [PROVIDERS[name] for name in expected]  # type: ignore[index]
    for entry in providers:
        if not isinstance(entry, str):
            assert entry[1]["device_id"] == str(Device.parse(device).index)


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_switched_on_the_cuda_provider(tf32: bool) -> None:
    (name, options), _ = list_providers(Device("cuda"), tf32=tf32)
    assert name == PROVIDERS["cuda"]
    assert options["use_tf32"] == str(int(tf32))  # type: ignore[index, call-overload]


def test_options_hold_threads_folder_and_no_spinning(tmp_path: Path) -> None:
    options = make_options(import_runtime(), Device("cpu"), threads=3, folder=tmp_path)
    assert options.intra_op_num_threads == 3
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    key = "session.model_external_initializers_file_folder_path"
    assert options.get_session_config_entry(key) == str(tmp_path)


def test_the_version_is_that_of_the_installed_package() -> None:
    import onnxruntime

    assert get_ort_version() == onnxruntime.__version__


RUN_A_MODEL = """
import sys
from onnxplain.runtime.device import Device
from onnxplain.runtime.session import open_session
open_session(open(sys.argv[1], "rb").read(), Device("cpu"), name="net")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there it is not kept in a folder of HOME")
def test_runtime_leaves_no_device_id(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(models.additive(models.weights((4, 4))).SerializeToString())
    home = tmp_path / "home"
    home.mkdir()
    kept = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ}
    subprocess.run(
        [sys.executable, "-c", RUN_A_MODEL, str(tmp_path / "net.onnx")],
        env={**kept, "HOME": str(home)},
        check=True,
    )
    assert [path for path in home.rglob("*") if "onnxruntime" in path.name] == []


@pytest.mark.parametrize(("given", "seen"), [(None, "1"), ("0", "0")])
def test_telemetry_is_off_unless_the_user_says_otherwise(given: str | None, seen: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != TELEMETRY}
    if given is not None:
        environment[TELEMETRY] = given
    code = (
        "import os; from onnxplain.runtime.ort import TELEMETRY, import_runtime; import_runtime();"
        "print(os.environ[TELEMETRY])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert shown.stdout.strip() == seen


KEEP_LEVEL = """
import sys
import onnxruntime
from onnxplain.runtime.device import Device
from onnxplain.runtime.session import open_session
from tests.helpers import models
onnxruntime.set_default_logger_severity(0)
model = models.convnet().SerializeToString()
open_session(model, Device("cpu"), name="net")
print("then", file=sys.stderr, flush=True)
onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
"""


def test_the_level_of_the_log_that_a_program_has_set_stays() -> None:
    run = subprocess.run(
        [sys.executable, "-c", KEEP_LEVEL], check=True, capture_output=True, text=True
    )
    _, after = run.stderr.split("then\n")
    assert "[V:onnxruntime:" in after or "[I:onnxruntime:" in after
