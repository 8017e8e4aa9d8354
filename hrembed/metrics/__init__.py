"""Pure numbers: arrays and an rng in, values out."""
