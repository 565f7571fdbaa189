"""The one error that a user's input can cause."""


class InputError(ValueError):
    """What was given is not what was expected.

    The message is one line: what came, where, and what was expected instead. The command line
    prints it and exits with 2.
    """
