"""`runtime.start`: equal cells run again give equal numbers, and a call that comes too late is a sentence."""

import subprocess
import sys
from types import ModuleType

import pytest

from srstudy import StudyError, runtime

TWICE = """
from srstudy import runtime

def first_numbers(seed):
    runtime.start(seed)
    import keras
    layer = keras.layers.Dense(2)
    layer.build((None, 2))
    return [layer.name, layer.kernel.numpy().tolist(), keras.random.uniform((2,)).numpy().tolist()]

numbers = first_numbers(7)
assert first_numbers(8) != numbers, "another seed, the same numbers"
assert first_numbers(7) == numbers, "the same seed, other numbers"
"""


def test_a_second_start_in_one_kernel_begins_anew():
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_a_start_after_someone_else_imported_tensorflow_asks_for_a_restart(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", ModuleType("tensorflow"))
    runtime._set_up.cache_clear()
    with pytest.raises(StudyError, match="restart the kernel"):
        runtime.start(7)
