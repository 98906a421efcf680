"""Command lines: any options with any values, on files with odd names."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import PIL.Image
from click.testing import CliRunner

from onnxplain.cli import COMMANDS, main
from onnxplain.cli.reporting import Bug
from tests.fuzz.mutations import TEXTS, mutate_text, pick
from tests.helpers import models

Rng = np.random.Generator

NAMES = (
    "photo.png",
    "a b.png",
    "é名.png",
    "\x1b[31mred.png",
    "-x.png",
    "%s.png",
    "'\".png",
    "n" * 200,
)
NUMBERS = ("-1", "0", "1", "2", "3", "7", "0.5", "1e-9", "nan", "inf", "-0", "1e400", "x", "")
SPECS = (
    "rise:n_masks=3",
    "sp:patch=4",
    "lime:n_samples=3",
    "mp:n_steps=2",
    "random",
    "mp2",
    "fido",
)
FEW = {"--n-masks": "4", "--n-steps": "2", "--n-samples": "3", "--batch-size": "2"}


@cache
def list_options(name: str) -> tuple[click.Parameter, ...]:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    if isinstance(command, click.Group):
        return ()
    return tuple(command.params)


def try_case(rng: Rng, folder: Path) -> str:
    photo, model = _make_files(rng, folder)
    words = _draw_words(rng, photo, model)
    result = CliRunner().invoke(main, words, prog_name="onnxplain", catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code != Bug.exit_code, (words, result.stderr)
    assert result.exit_code in (0, 1, 2), (words, result.exit_code)
    assert "Traceback" not in result.stderr, (words, result.stderr)
    assert not set(result.stderr + result.stdout) & {"\x1b", "\x00", "\x07"}, (words, result.output)
    if result.exit_code:
        assert result.stderr.strip(), words
        return "refused"
    return "right"


def _make_files(rng: Rng, folder: Path) -> tuple[str, str]:
    photo = folder / pick(rng, NAMES)
    pixels = rng.integers(0, 256, (20, 30, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(photo, "PNG")
    model = folder / "tiny.onnx"
    models.save(models.additive(models.weights((16, 16))), model)
    model.with_suffix(".toml").write_text(
        'range = [0, 1]\nclass_names = ["cat", "dog", "b\\u001b[2J"]\n'
    )
    (folder / "labels.csv").write_text(f"file,class_index\n{photo.name.replace(',', '')},1\n")
    (folder / "plan.toml").write_text('methods = ["random"]\n')
    return photo.name, model.name


def _draw_words(rng: Rng, photo: str, model: str) -> list[str]:
    name = pick(rng, COMMANDS)
    if name == "zoo":
        return [
            "zoo",
            pick(rng, ("list", "path", "remove", "x")),
            *rng.permutation(["--help"]).tolist(),
        ]
    words: list[str] = [name]
    if name == "explain":
        few = [part for pair in FEW.items() for part in pair]
        words += ["-m", model, "-o", "out", *few, photo]
        words += ["--method", pick(rng, ("rise", "sp:patch=8,stride=8", "lime"))]
    elif name == "evaluate":
        words += [
            ".",
            "-m",
            model,
            "--method",
            "random",
            "--metric",
            "deletion:step=64",
            "-o",
            "out",
        ]
    elif name in ("inspect", "export-gradient"):
        words += [model, *(["-o", "gradient.onnx"] if name == "export-gradient" else [])]
    elif name == "export-explainer":
        words += [model, "--method", pick(rng, ("gradient", "grad-cam", "rise"))]
        words += ["-o", "explainer.onnx"]
    else:
        words += [pick(rng, (photo, model, "labels.csv", ".", "nowhere", "\x1b]0;x\x07"))] * 2
    options = [one for one in list_options(name) if isinstance(one, click.Option)]
    for _ in range(int(rng.integers(5))):
        if not options:
            break
        option = pick(rng, options)
        words.append(pick(rng, [*option.opts, *option.secondary_opts]))
        if not option.is_flag:
            words += [_draw_value(rng, option, photo, model) for _ in range(max(option.nargs, 1))]
    if rng.random() < 0.1:
        words.insert(int(rng.integers(len(words) + 1)), pick(rng, (*TEXTS, "--", "-", "--help")))
    # The system takes no zeros and no halves of characters in words.
    return [word.replace("\0", "").encode("utf-8", "replace").decode() for word in words]


def _draw_value(rng: Rng, option: click.Option, photo: str, model: str) -> str:
    choices: Any = getattr(option.type, "choices", None)
    if choices and rng.random() < 0.8:
        return str(pick(rng, choices))
    if option.default not in (None, ()) and rng.random() < 0.2:
        return mutate_text(rng, str(option.default))
    ways = (NUMBERS, NUMBERS, SPECS, (photo, model, "labels.csv", "plan.toml", "."), TEXTS)
    value = str(pick(rng, pick(rng, ways)))
    return "1,2,3" if len(value) > 1000 else value
