"""What ``onnxplain explain`` writes and prints of each explanation."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import onnxplain
from tests.cli.conftest import ENVIRONMENT, Run, make_noise, parse_lines
from tests.helpers.processes import running

KEYS = [
    "image",
    "status",
    "target",
    "target_name",
    "score",
    "method",
    "parameters",
    "fill",
    "fill_parameters",
    "seed",
    "heatmap",
    "overlay",
    "record",
    "evaluations",
    "seconds",
    "inpaints",
    "inpaint_seconds",
    "inpaint_share",
    "model",
    "provider",
]


def test_json_has_these_keys_and_the_files_exist(run: Run, model: Path, photo: Path):
    result = run(
        "explain", photo, "-m", model, "--json", "--n-masks", 9, "-t", "kitty", "--seed", 2
    )
    (explained,) = parse_lines(result.stdout)
    assert list(explained) == KEYS
    assert explained["image"] == str(photo)
    assert (explained["target"], explained["target_name"]) == (0, "cat, kitty")
    assert (explained["method"], explained["evaluations"], explained["seed"]) == ("rise", 9, 2)
    assert explained["provider"] == "CPUExecutionProvider"
    assert explained["parameters"]["n_masks"] == 9
    assert all(Path(explained[key]).is_file() for key in ("heatmap", "overlay", "record"))


def test_folder_is_said_on_stderr(run: Run, model: Path, photo: Path):
    words = ("explain", photo, "-m", model, "--n-masks", 4, "-o", "here", "-t", "top-2")
    assert run(*words).stderr.endswith("\nhere: 2 x .png, .npz and .json\n")
    assert run(*words, "-q").stderr == ""


def test_result_that_cannot_be_written_does_not_stop_the_others(
    run: Run, model: Path, photo: Path, folder: Path
):
    other = folder / "other.png"
    make_noise(1).save(other)
    (folder / "explanations" / f"{photo.stem}-rise-dog.npz").mkdir(parents=True)
    words = ("-m", model, "-t", "dog", "--n-masks", 4, "--json")
    result = run("explain", photo, other, *words)
    assert result.exit_code == 1
    last = run("explain", photo, "nowhere.png", other, *words[:-1]).stderr.splitlines()[-2:]
    assert last == ["explanations: 1 x .png, .npz and .json", "2 failed: see the errors above"]
    failed, done = parse_lines(result.stdout)
    assert failed.keys() == {"image", "status", "error"}
    assert (failed["image"], failed["status"]) == (str(photo), "error")
    assert "cannot be written" in failed["error"]
    assert (Path(str(done["image"])).name, done["status"]) == ("other.png", "done")
    assert f"Error: {photo}: explanations: cannot be written (Is a directory)" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_interrupted_run_keeps_the_images_that_are_done(model: Path, folder: Path):
    copies = []
    for i in range(60):
        copies.append(folder / f"photo{i:02}.png")
        make_noise(i).save(copies[-1])
    words = [sys.executable, "-m", "onnxplain", "explain", *copies, "-m", model, "--json"]
    words += ["--method", "mp2", "--gain", "difference", "--sweep", "full", "--grid", 16]
    with running(
        [str(word) for word in (*words, "--chance", 1e-6)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        # A shell that runs the tests in the background ignores SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    printed = [first, *map(json.loads, rest.splitlines())]
    assert len(printed) < len(copies)
    n, plural = len(printed), "" if len(printed) == 1 else "s"
    assert f"Error: interrupted; written to explanations: {n} explanation{plural}" in errors
    assert "Traceback" not in errors
    assert len(list((folder / "explanations").glob("*.json"))) == len(printed)
    assert not list((folder / "explanations").glob(".*"))
    for explained in printed:
        saved = onnxplain.load_explanation(explained["heatmap"])
        assert saved.details["reason"] in ("chance", "exhausted")
        assert [saved.details[k] for k in ("gain", "sweep")] == ["difference", "full"]
        assert saved.details["trajectory"][-1][0] == len(saved.details["gains"])
        assert saved.order is not None
        assert saved.coarse is not None
        assert sorted(saved.order) == np.flatnonzero(saved.coarse > 0).tolist()
        assert saved.evaluations == explained["evaluations"]


def test_full_disk_ends_the_run_and_nothing_is_half_written(model: Path, photos: Path):
    """A disk of one process, too small for more than a few explanations."""
    words = "explain photos -m tiny.onnx --method sp:patch=8 -o small/out -q"
    result = run_on_small_disk(f"{words}; echo exit $?; ls small/out", 400)
    assert "Error: small/out: cannot be written (No space left on device); free" in result.stderr
    assert result.stderr.count("Error") == 1
    printed, names = result.stdout.split("exit 1\n")
    n = len(printed.splitlines())
    assert 0 < n < 8
    plural = "" if n == 1 else "s"
    assert result.stderr.endswith(f"; written to small/out: {n} explanation{plural}\n")
    kinds = Counter(Path(name).suffix for name in names.splitlines())
    assert kinds == {".png": n, ".npz": n, ".json": n}


def run_on_small_disk(script: str, kibibytes: int) -> subprocess.CompletedProcess[str]:
    """Run a command of onnxplain, and what follows it in a shell, beside a small disk."""
    Path("small").mkdir()
    unshare = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else []), "sh", "-c"]
    mount = f"mount -t tmpfs -o size={kibibytes}k tmpfs small"
    try:
        subprocess.run([*unshare, mount], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disks may be mounted here")
    script = f"{mount}; {shlex.quote(sys.executable)} -m onnxplain {script}"
    return subprocess.run(
        [*unshare, script], check=True, capture_output=True, text=True, env=ENVIRONMENT
    )
