"""When memory really ends, the batch is halved and the scores come out the same.

Memory is made to end by a cap on ONNX Runtime's CPU arena, which holds for a whole process:
hence the subprocess.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.helpers import models
from tests.helpers.specs import classifier_of, photos, spec_of

SIZE = (128, 128)
BATCH = 128  # needs about 134 MB for the first convolution's output alone

CAPPED = """
import json, logging, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import onnxruntime as ort
from onnxplain.core.errors import DeviceError
from onnxplain.runtime import tuning
from onnxplain.runtime.batch_support import BatchSupport
from onnxplain.runtime.classifier import ModelIdentity, OnnxClassifier
from onnxplain.runtime.composing.host import HostComposer
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.session import Session
from tests.helpers import models
from tests.helpers.specs import photos, spec_of
from tests.runtime.test_memory import BATCH, SIZE

cap, fixed = int(sys.argv[1]), json.loads(sys.argv[2])
ort.create_and_register_allocator(
    ort.OrtMemoryInfo(
        "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
    ),
    ort.OrtArenaCfg({"max_mem": cap, "arena_extend_strategy": 1}),
)
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 4
options.add_session_config_entry("session.use_env_allocators", "1")
raw = ort.InferenceSession(models.convnet(SIZE).SerializeToString(), options)
session = Session(raw, Device("cpu"), "capped.onnx", tf32=False)
spec = spec_of(size=SIZE, classes=5)
fell = []
classifier = OnnxClassifier(
    session, spec, ModelIdentity("capped.onnx", ""), BatchSupport(fixed, ""),
    batch_size=fixed or BATCH, workers=2, on_fall=fell.append, differentiate=print,
    composer=HostComposer(ModelSpace.of(spec)),
)
images = photos(BATCH, SIZE)
try:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(classifier.scores, [images, images[::-1]])
    rates = tuning.measure_rates(session, spec, (1, BATCH), workers=1, seconds=0.01)
    print(json.dumps({
        "scores": first.tolist(), "back": second[::-1].tolist(), "fell": fell,
        "batch_size": classifier.batch_size, "measured": [rate.batch_size for rate in rates],
    }))
except DeviceError as error:
    print(json.dumps({"error": str(error)}))
"""


def capped(cap: int, fixed: int | None = None) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", CAPPED, str(cap), json.dumps(fixed)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.slow
def test_batch_is_halved_and_the_scores_stay() -> None:
    result = capped(40_000_000)
    expected = classifier_of(models.convnet(SIZE), spec_of(size=SIZE, classes=5)).scores(
        photos(BATCH, SIZE)
    )
    np.testing.assert_allclose(result["scores"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result["back"], expected, rtol=1e-5, atol=1e-6)
    assert 1 <= result["batch_size"] < BATCH
    # Both threads meet the end of memory at the same size, and it falls once for both.
    assert result["fell"] == [BATCH >> k for k in range(1, len(result["fell"]) + 1)]
    assert result["fell"][-1] == result["batch_size"]
    assert result["measured"] == [1]


@pytest.mark.slow
@pytest.mark.parametrize(("cap", "fixed"), [(200_000, None), (40_000_000, BATCH)])
def test_smallest_batch_that_does_not_fit_is_an_error(cap: int, fixed: int | None) -> None:
    text = capped(cap, fixed)["error"]
    assert "capped.onnx: out of memory on cpu" in text
    assert f"a batch of {fixed or 1} is the smallest" in text
    assert "/onnxruntime_src" not in text
