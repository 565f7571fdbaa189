"""The commands with options, each in the module of its name.

Such a module has a dataclass of options, which tyro reads from the words, and `main(words)`.
:mod:`pyaug.cli` lists the commands, and imports the module of the one that is asked for.
"""
