"""Ghosts: tensors on `meta` that say they are where they were asked to be, and remember laws.

Plain meta tensors give wrong answers without an error: some of torch's initialisers do nothing on
them, libraries skip theirs, and `torch.tensor` loses its data. So one mode sees every operation of
ATen, sends it to `meta` and writes down what it means; another sees what no dispatch does: values
that are handed out, devices, and tensors made of other things.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from seedbed.torch.dispatch import Dispatch
from seedbed.torch.functions import Functions
from seedbed.torch.initialisers import exchanged
from seedbed.torch.recorder import RECORDERS, Recorder


@contextlib.contextmanager
def recording(seed: int | None = None) -> Iterator[Recorder]:
    """Record what this thread does with torch; nothing of it stays, whatever happens.

    Args:
        seed: of torch's generator meanwhile; it goes on from where it stands if it is None.
    """
    recorder = Recorder()
    with contextlib.ExitStack() as stack:
        stack.enter_context(exchanged())
        stack.enter_context(recorder.generators.kept(seed))
        RECORDERS.stack.append(recorder)
        stack.callback(RECORDERS.stack.remove, recorder)
        stack.enter_context(Dispatch(recorder))
        stack.enter_context(Functions(recorder))
        yield recorder
