"""Fuzzing of the decoders, with coverage as the guide.

A harness is a function that takes bytes, drives one decoder with them and raises when an invariant
does not hold: bytes unaccounted for, more held than the limit, another result for another split,
something joined across a gap. `targets` lists the harnesses, `seeds` makes the inputs to begin
with, `corpus` holds inputs that reach what was found so far. `make fuzz` runs them under atheris;
the suite replays the corpus without it.

    byte 0       how many bytes of choices follow (low five bits)
    choices      how the data is dealt out: splits, gaps, directions, settings
    data         what the decoder reads
"""
