"""Fuzzing: hostile and odd inputs get an error of our own or the right answer, in bounds.

Each kind of input has a module with a function ``try_case(rng, folder)``. It draws an input from
the generator, gives it to the package in an empty folder, and returns ``"right"`` (the answer was
checked) or ``"refused"`` (an error of our own that names the file). Whatever else it raises is a
fault. `tests/fuzz/test_fuzz.py` runs a few seeds of each kind with the other tests;

    python -m tests.fuzz --minutes 30

runs many, each in a process with limits on time and memory, prints counts, and keeps the seeds
that failed, which ``python -m tests.fuzz --case KIND:SEED`` repeats.
"""
