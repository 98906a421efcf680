"""Does an inpainter behave as it is described? A few runs on two small pictures tell.

What they show decides where the description is silent; where both speak and differ, it is an
error that says what was said, what was seen and what to write. Nobody's word is taken for it
that a graph looks at each mask of a batch: several published ones use the first for all.

=====================  ==========================================================================
check                  what is done
=====================  ==========================================================================
size                   pictures whose sides are odd, even, multiples of 4, ... go in, until they
                       come out
determinism            the same goes in twice
polarity               pixels deep in the hole are changed, which must not show; and once more
                       with hole and known exchanged, where it must; if it shows both ways, other
                       scales of the mask are tried; if that tells nothing, known pixels are
                       closer to what went in than with hole and known exchanged
painted pixels         lie in about [0, 1] where known pixels come back; else other ranges of the
                       input are tried
range and colour       far from the hole, pixels come back under one reading of the output
known pixels           how far they are from what went in (the composite is made here anyway)
batch, mask a sample   two pictures with two masks go in together, and one by one
whole image a hole     is painted with finite numbers
=====================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnxplain.data import Images
from onnxplain.errors import InpainterError, ModelError
from onnxplain.graph.inpainter.spec import InpainterSpec, holds, shown
from onnxplain.runtime.conformance.probe import probe, sides
from onnxplain.runtime.fitting import Holes
from onnxplain.runtime.painting import Raw, answer, decode
from onnxplain.runtime.session import Session

SAME = 1e-3  # largest difference, relative to the span of the answer, that is none
READS = 2 / 255  # mean error under which pixels count as those that went in
CLEAR = 4  # times the error at which another reading of the output is told apart
ABSURD = 0.5  # mean error of known pixels beyond which a reading is doubted
OUTSIDE = 0.1  # mean distance from [0, 1] beyond which no picture is painted
MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
RANGES = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0))
SCALES = ((1.0, 0.0), (255.0, 0.0), (0.5, -0.5))  # of hole and known, either way round


class Check(NamedTuple):
    """What one check found; `passed` is None where there was nothing to tell."""

    name: str
    passed: bool | None
    text: str


def examine(session: Session, spec: InpainterSpec) -> tuple[InpainterSpec, tuple[Check, ...]]:
    """Run the checks.

    Parameters
    ----------
    session : Session
        The graph, on a device that computes with whole floats.
    spec : InpainterSpec
        What is said of it; what nobody said is its to show.

    Returns
    -------
    spec : InpainterSpec
        With what was seen.
    checks : tuple of Check

    Raises
    ------
    InpainterError
        If what is seen contradicts what is said, the graph runs at no size, or it paints
        another shape, or NaN.
    """
    seen = _Examiner(session)
    checks = []
    for check in (
        seen.size,
        seen.determinism,
        seen.polarity,
        seen.painted,
        seen.reading,
        seen.known,
    ):
        spec, found = check(spec)
        checks.append(found)
    spec, batches = seen.batch(spec)
    return spec, (*checks, *batches, seen.whole(spec))


class _Examiner:
    """One graph under examination; its `probe` is made with its size, and runs are kept."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.name = session.name
        self.same = SAME
        self.answers: dict[tuple[object, ...], Raw] = {}

    def why(self, error: Exception) -> str:
        """What went wrong; the file may have another name when what was found is read again."""
        return str(error).removeprefix(f"{self.name}: ")

    def run(self, spec: InpainterSpec, images: Images, holes: Holes) -> Raw:
        return answer(self.session, spec, images, holes)

    def first(self, spec: InpainterSpec, *, changed: bool = False) -> Raw:
        """The answer to the first picture of the probe, or to it changed; each asked for once."""
        # What checks change.
        key = spec.multiple, spec.hole, spec.known, spec.premultiply, spec.range, changed
        if key not in self.answers:
            images = self.probe.changed() if changed else self.probe.images
            self.answers[key] = self.run(spec, images[:1], self.probe.holes[:1])
        return self.answers[key]

    def size(self, spec: InpainterSpec) -> tuple[InpainterSpec, Check]:
        """Which sizes it takes."""
        if spec.size is not None:
            self.probe = probe(spec.size)
            self.first(spec)
            rows, columns = spec.size
            return spec, Check("size", True, f"runs at {rows} x {columns}")
        silent = spec.is_silent("multiple")
        told = [spec.multiple] if not silent else []
        failures = dict[int, str]()
        for multiple in (*told, *MULTIPLES):
            self.probe = probe(sides(multiple))
            tried = replace(spec, multiple=multiple)
            try:
                self.first(tried)
                if failures:  # one fixed side would pass for a multiple, but not on the other
                    across = probe(self.probe.images.shape[2:0:-1])
                    self.run(tried, across.images[:1], across.holes[:1])
            except (ModelError, InpainterError) as error:
                if "NaN" in str(error):
                    raise
                failures[multiple] = self.why(error)
                continue
            if multiple != spec.multiple and not silent:
                self.contradict(spec, "multiple", failures[spec.multiple], multiple=multiple)
            text = f"runs at {_listed([multiple])}"
            if failures:
                text += f", and not at {_listed(failures)}"
            return spec.seen(multiple=multiple) if silent else spec, Check("size", True, text)
        raise InpainterError(
            f"{self.name}: runs at none of the sizes that were tried, {_listed(failures)}; write "
            f"size = [ROWS, COLUMNS], or multiple = N if sides must be multiples of another "
            f"number. At the last: {list(failures.values())[-1]}"
        )

    def determinism(self, spec: InpainterSpec) -> tuple[InpainterSpec, Check]:
        """Whether the same input gives the same answer."""
        again = self.run(spec, self.probe.images[:1], self.probe.holes[:1])
        apart = _apart(self.first(spec), again)
        if apart == 0:
            return spec, Check("determinism", True, "the same input gives the same answer")
        self.same += 2 * apart
        return spec, Check(
            "determinism",
            apart <= SAME,
            f"two runs on the same input differ by {apart:.1e} of the answer's span",
        )

    def polarity(self, spec: InpainterSpec) -> tuple[InpainterSpec, Check]:
        """What the mask holds in a hole and elsewhere, and whether the hole must go in blank."""
        if spec.pack == "image":
            return spec, Check("polarity", None, "takes no mask: holes go in blank")
        turned = _turned(spec)
        here, there = self.change(spec), self.change(turned)
        text = f"what is in the hole shows by {here:.1e}; by {there:.1e} if {_mask(turned)}"
        good = next((one for one in (spec, turned, *_scales(spec)) if self.is_good(one)), None)
        if good is None and min(here, there) <= self.same < max(here, there):
            good = spec if here < there else turned
        if good is not None:
            if good not in (spec, turned):
                text += f"; by {self.change(good):.1e} if {_mask(good)}"
            return self.choose(spec, good, text), Check("polarity", True, text)
        if self.passes(spec) and self.passes(turned):
            raise InpainterError(
                f"{self.name}: the mask has no effect where {_mask(spec)}: what goes into the hole "
                f"comes out of it; write hole and known as the graph takes them, as 255 and 0"
            )
        if here > self.same and not spec.premultiply:
            if not spec.is_silent("premultiply"):
                self.contradict(spec, "premultiply", text, premultiply=True)
            spec = spec.seen(premultiply=True)
        return self.guess(spec, text)

    def change(self, spec: InpainterSpec) -> float:
        """How much pixels deep in the hole show in the answer, if they are not made blank."""
        bare = replace(spec, premultiply=False)
        return _apart(self.first(bare), self.first(bare, changed=True))

    def is_good(self, spec: InpainterSpec) -> bool:
        """Whether the hole is hidden, known pixels come back, and something is painted.

        A mask on a wrong scale may hide the hole as well: by numbers so large that what is
        painted ends at black or white.
        """
        try:
            if self.change(spec) > self.same:
                return False
            reading, error = self.read(spec)
        except (ModelError, InpainterError):
            return False
        new = self.new(spec, reading)
        ends = np.isclose(new, 0, atol=1e-6) | np.isclose(new, 1, atol=1e-6)
        return error < READS and not ends.all()

    def passes(self, spec: InpainterSpec) -> bool:
        """Whether pixels deep in the hole come out as they go in."""
        raw = self.first(replace(spec, premultiply=False), changed=True)[0]
        deep, went_in = self.probe.deep[0], self.probe.changed()[0]
        _, error = _errors(spec, raw[deep], went_in[deep])[0]
        return error < READS

    def choose(self, spec: InpainterSpec, good: InpainterSpec, text: str) -> InpainterSpec:
        """The values of the mask that were seen, where nobody said others."""
        if (spec.hole, spec.known) == (good.hole, good.known):
            return spec
        if said := [name for name in ("hole", "known") if not spec.is_silent(name)]:
            self.contradict(spec, said[0], text, hole=good.hole, known=good.known)
        return spec.seen(hole=good.hole, known=good.known)

    def guess(self, spec: InpainterSpec, text: str) -> tuple[InpainterSpec, Check]:
        """Where the hole's own pixels tell nothing: the polarity under which others come back."""
        turned = _turned(spec)
        here, there = (self.readings(one)[0][1] for one in (spec, turned))
        if max(here, there) < max(READS, CLEAR * min(here, there)):
            return spec, Check("polarity", None, f"{text}: taken as described, {_mask(spec)}")
        text += f"; known pixels are {here:.1e} off, and {there:.1e} if {_mask(turned)}"
        spec = self.choose(spec, turned if here > there else spec, text)
        return spec, Check("polarity", True, text)

    def readings(self, spec: InpainterSpec) -> list[tuple[dict[str, Any], float]]:
        """Mean error of the known pixels under each reading of the output, the best first."""
        far = self.probe.far[0]
        return _errors(spec, self.first(spec)[0][far], self.probe.images[0][far])

    def painted(self, spec: InpainterSpec) -> tuple[InpainterSpec, Check]:
        """Whether the hole is on the scale of the known pixels, which the range that goes in shows.

        A composite gives known pixels back whatever range they went in with; new pixels have
        the range that the graph was made for.
        """
        name = "painted pixels"
        reading, error = self.read(spec)
        if error >= READS:
            return spec, Check(name, None, "known pixels do not come back to be compared with")
        new = self.new(spec, reading)
        text = f"lie in [{new.min():.2g}, {new.max():.2g}] with range {_toml(spec.range)}"
        if _outside(new) <= OUTSIDE:
            return spec, Check(name, True, text)
        span = self.fitting(spec)
        if span is None:
            return spec, Check(name, False, f"{text}, where known pixels lie in [0, 1]")
        turned = replace(spec, range=span)
        instead, _ = self.read(turned)
        if not spec.is_silent("range"):
            others = {n: v for n, v in instead.items() if v != getattr(spec, n)}
            said = {n: v for n, v in others.items() if not spec.is_silent(n)}
            seen = f"painted pixels {text}, where known pixels lie in [0, 1]"
            self.contradict(spec, "range", seen, range=span, **said)
        new = self.new(turned, instead)
        text += f", and in [{new.min():.2g}, {new.max():.2g}] with range {_toml(span)}"
        return spec.seen(range=span), Check(name, True, text)

    def fitting(self, spec: InpainterSpec) -> tuple[float, float] | None:
        """The range to go in with which new pixels are most like the known ones, if they can be."""
        image, far = self.probe.images[0], self.probe.far[0]
        found = []
        for span in RANGES if spec.dtype != "uint8" else ():
            other = replace(spec, range=span)
            try:
                reading, error = self.read(other)
            except (ModelError, InpainterError):
                continue
            new = self.new(other, reading)
            if error < READS and _outside(new) <= OUTSIDE:
                unlike = np.abs(new.mean(axis=0) - image[far].mean(axis=0)).mean()
                found.append((float(unlike), span))
        return min(found)[1] if found else None

    def read(self, spec: InpainterSpec) -> tuple[dict[str, Any], float]:
        """The reading of the output: as described where known pixels come back so, or the best."""
        found = self.readings(spec)
        told = (one for one in found if one[0] == _reading(spec) and one[1] < READS)
        return next(told, found[0])

    def new(self, spec: InpainterSpec, reading: dict[str, Any]) -> NDArray[np.float32]:
        """The pixels (n, 3) that are painted deep in the hole, under a reading of the output."""
        raw = self.first(spec)[0][self.probe.deep[0]]
        return decode(raw, reading["output_range"], reading["output_colour"])

    def reading(self, spec: InpainterSpec) -> tuple[InpainterSpec, Check]:
        """What black and white are in the output, and the order of its channels."""
        found = self.readings(spec)
        told = _reading(spec)
        as_told = next(error for reading, error in found if reading == told)
        best, error = self.read(spec)
        unsaid = spec.sources.get("output_range", "default") == "default"
        if error < READS or (not unsaid and as_told > CLEAR * error):
            rest = min(error for reading, error in found if reading != best)
            if said := [n for n in told if best[n] != told[n] and not spec.is_silent(n)]:
                seen = f"known pixels are {as_told:.1e} off so, and {error:.1e} otherwise"
                self.contradict(spec, said[0], seen, **{name: best[name] for name in said})
            open_ = {name: value for name, value in best.items() if spec.is_silent(name)}
            text = f"known pixels come back within {error:.1e}; otherwise read, {rest:.1e}"
            return spec.seen(**open_), Check("range and colour", True, text)
        if unsaid:
            raise InpainterError(
                f"{self.name}: nobody says what its output means, and it cannot be seen: known "
                f"pixels are at least {error:.1e} off under every reading, as the graph does not "
                f"give them back; write output_range (0, 1 or 0, 255 or -1, 1), or the preset"
            )
        text = f"known pixels are {as_told:.1e} off as described, and come back under no reading"
        return spec, Check("range and colour", None if as_told <= ABSURD else False, text)

    def known(self, spec: InpainterSpec) -> tuple[InpainterSpec, Check]:
        """Whether known pixels are left alone."""
        painted = decode(self.first(spec), spec.output_range, spec.output_colour)[0]
        far = self.probe.far[0]
        apart = float(np.abs(painted - self.probe.images[0])[far].max())
        text = f"are at most {apart:.1e} off"
        if apart > READS:
            text += "; they are put back here"
        return spec, Check("known pixels", True if apart <= READS else None, text)

    def batch(self, spec: InpainterSpec) -> tuple[InpainterSpec, list[Check]]:
        """Whether it takes several images a call, each with its own mask."""
        if spec.batch == 1:
            why = "the graph takes no more" if spec.is_silent("batch") else "as described"
            return spec, [Check("batch", None, f"images go in one at a time, {why}")]
        second = self.run(spec, self.probe.images[1:], self.probe.holes[1:])
        alone = np.concatenate([self.first(spec), second])
        try:
            together = self.run(spec, self.probe.images, self.probe.holes)
        except (ModelError, InpainterError) as error:
            text = f"two images do not go in together: {self.why(error)}"
            return self.single(spec, text), [Check("batch", False, text)]
        apart = _apart(together, alone)
        check = Check("batch", True, "two images go in together")
        if apart <= self.same:
            text = f"two masks in a batch give what each gives alone, within {apart:.1e}"
            return spec, [check, Check("mask a sample", True, text)]
        text = (
            f"two images with two masks give another answer together than alone, by {apart:.1e}, "
            f"as where the first mask is taken for all; they go in one at a time"
        )
        return self.single(spec, text), [check, Check("mask a sample", False, text)]

    def single(self, spec: InpainterSpec, text: str) -> InpainterSpec:
        """The same, one image a call."""
        if not spec.is_silent("batch"):
            self.contradict(spec, "batch", text, batch=1)
        return spec.seen(batch=1)

    def whole(self, spec: InpainterSpec) -> Check:
        """Whether it paints where nothing is known."""
        name = "whole image a hole"
        try:
            self.run(spec, self.probe.images[:1], np.ones_like(self.probe.holes[:1]))
        except (ModelError, InpainterError) as error:
            return Check(name, False, self.why(error))
        return Check(name, True, "is painted with finite numbers")

    def contradict(self, spec: InpainterSpec, field: str, seen: str, **instead: object) -> None:
        told = ", ".join(f"{name} = {_toml(getattr(spec, name))}" for name in instead)
        write = " and ".join(f"{name} = {_toml(value)}" for name, value in instead.items())
        raise InpainterError(
            f"{self.name}: {spec.sources[field]} says {told}, but the graph behaves otherwise: "
            f"{seen}; write {write}"
        )


def _errors(
    spec: InpainterSpec, raw: Raw, pixels: NDArray[np.float32]
) -> list[tuple[dict[str, Any], float]]:
    """Mean error of pixels that may have come back under each reading, the best first."""
    found = []
    for span in dict.fromkeys((spec.output_range, *RANGES, spec.range)):
        for order in dict.fromkeys((spec.output_colour, "rgb", "bgr")):
            reading = {"output_range": span, "output_colour": order}
            found.append((reading, float(np.abs(decode(raw, span, order) - pixels).mean())))
    return sorted(found, key=lambda one: one[1])


def _turned(spec: InpainterSpec) -> InpainterSpec:
    return replace(spec, hole=spec.known, known=spec.hole)


def _scales(spec: InpainterSpec) -> list[InpainterSpec]:
    """The same with other values that masks have in published graphs, which its type can hold."""
    pairs = [one for hole, known in SCALES for one in ((hole, known), (known, hole))]
    return [
        replace(spec, hole=hole, known=known)
        for hole, known in pairs
        if holds(spec.mask_dtype, hole) and holds(spec.mask_dtype, known)
    ]


def _mask(spec: InpainterSpec) -> str:
    return f"{spec.hole:g} is a hole and {spec.known:g} is none"


def _reading(spec: InpainterSpec) -> dict[str, Any]:
    return {"output_range": spec.output_range, "output_colour": spec.output_colour}


def _outside(pixels: NDArray[np.float32]) -> float:
    """Mean distance from [0, 1]."""
    return float(np.abs(pixels - np.clip(pixels, 0, 1)).mean())


def _apart(one: Raw, other: Raw) -> float:
    """Largest difference, relative to the span of the answers."""
    span = float(np.ptp(one)) or 1.0
    return float(np.abs(one - other).max()) / span


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{shown(value)}]"
    return str(value).lower() if isinstance(value, bool) else f"{value!r}"


def _listed(multiples: Iterable[int]) -> str:
    return ", ".join("{} x {}".format(*sides(one)) for one in multiples)
