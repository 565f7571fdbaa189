"""A process that is killed in the midst of its work, as by a machine that fails."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import torch


def kill_after(calls, *places):
    """This process kills itself once methods, (owner, name) each, were called so many times."""
    count = 0

    def watched(method):
        def killing(*arguments, **options):
            nonlocal count
            count += 1
            if count > int(calls):
                os.kill(os.getpid(), signal.SIGKILL)
            return method(*arguments, **options)

        return killing

    for owner, name in places:
        setattr(owner, name, watched(getattr(owner, name)))


def started(code, *arguments, cwd, **environment):
    """A process of its own that runs code, which may import the tests' modules.

    It has as many threads as this one: the order of a sum depends on it.
    """
    settings = {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=os.environ | settings | environment, cwd=cwd)


def killed(code, *arguments, cwd):
    """Run code that is to be killed, and see that it was."""
    assert started(code, *arguments, cwd=cwd).wait() == -signal.SIGKILL
