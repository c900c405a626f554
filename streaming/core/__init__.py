"""The pure core: what can be said, read and decided without waiting.

The law of this folder: no await, no clock, no thread, no randomness, no input or output, and no
third-party import but the JSON codec (msgspec). The time comes in as an argument, in seconds;
random bytes and numbers come in as arguments too. `tests/test_layers.py` holds the folder to it.
"""
