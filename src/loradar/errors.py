"""Errors that end as one clear line for the user, never as a traceback."""


class LoradarError(ValueError):
    """A mistake in what was given: says what is wrong, where, and what to do.

    Commands print the message as one line and exit with code 2.
    """


class ConfigError(LoradarError):
    """A recipe or configuration that is not valid."""


class InputError(LoradarError):
    """An input (audio, manifest, score file) that is missing or cannot be read."""


class CheckpointError(LoradarError):
    """A checkpoint or adapter folder that is incomplete, altered or of another format."""


class InjectionError(LoradarError):
    """A model in which adapters cannot work as asked, for instance one that bypasses them."""


class MergeError(LoradarError):
    """A mixture that cannot be folded into the base weights exactly."""


class ExportError(LoradarError):
    """A detector that another engine cannot run, or runs with other scores."""
