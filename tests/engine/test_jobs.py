"""Jobs of a method over the targets of an image."""

from __future__ import annotations

import numpy as np

from onnxplain.core.data import Case
from onnxplain.engine.jobs import make_jobs
from onnxplain.methods import MP2, SP
from tests.helpers.nets import Picture

IMAGE = np.zeros((6, 8, 3), np.float32)
CASES = [Case("photo", IMAGE, target) for target in (0, 1, 4)]
FILL = Picture(0.5)


def test_targets_share_one_job_if_the_method_is_not_adaptive() -> None:
    (job,) = make_jobs(SP(patch=2), CASES, FILL, 3)
    assert job.cases == tuple(CASES)
    assert len(job.flows) == 3
    assert (job.fill, job.seed, job.advice) == (FILL, 3, "")


def test_each_target_has_its_job_if_the_method_is_adaptive() -> None:
    jobs = make_jobs(MP2(grid=2), CASES, FILL, 3)
    assert [job.cases for job in jobs] == [(case,) for case in CASES]
    assert {job.advice for job in jobs} == {
        "explain it with scores alone: mp2 with gain=difference"
    }
