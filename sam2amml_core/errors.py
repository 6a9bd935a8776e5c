"""Errors a user can act on: each message names the thing that is wrong and the remedy."""


class Sam2AmmlError(Exception):
    """Base of every error this software raises on purpose; the CLI prints it without a traceback."""


class InputError(Sam2AmmlError, ValueError):
    """Data given to us (a cloud, an image, a calibration, a file) cannot be used as it is."""


class BundleError(Sam2AmmlError):
    """A model bundle on disk is missing, incomplete, corrupt or of an unknown version."""


class EngineError(Sam2AmmlError):
    """An inference engine is not available here or refused the model."""
