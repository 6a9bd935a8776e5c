"""Errors a user can act on: each message names the thing that is wrong and the remedy."""


class Sam2AmmlError(Exception):
    """Base of every error this software raises on purpose; the CLI prints it without a traceback."""


class InputError(Sam2AmmlError, ValueError):
    """Data given to us (a cloud, an image, a calibration, a file) cannot be used as it is."""


class BundleError(Sam2AmmlError):
    """A model bundle on disk is missing, incomplete, corrupt or of an unknown version."""


class EngineError(Sam2AmmlError):
    """An inference engine is not available here or refused the model."""


class MissingPackageError(Sam2AmmlError):
    """A package is not installed that only some commands need."""


_EXTRAS = {
    'ros': ('rclpy', 'sensor_msgs', 'std_msgs', 'geometry_msgs', 'diagnostic_msgs', 'nav_msgs', 'rosgraph_msgs'),
    'world': ('embreex',),
    'openvino': ('openvino',),
    'train': ('torch', 'onnx', 'onnxscript', 'lightning', 'tensorboard'),
    'masks': ('skimage', 'scipy'),
    'sam2': ('sam2', 'torchvision', 'hydra', 'omegaconf', 'iopath'),
    'scale': ('ray',),
}


def missing_package(error: ModuleNotFoundError) -> MissingPackageError | None:
    """What to tell a user whose installation lacks an optional package; None if it is no package of an extra."""
    package = (error.name or '').split('.')[0]
    for extra, packages in _EXTRAS.items():
        if package in packages:
            return MissingPackageError(f"this needs the package {package!r}, which is not installed; "
                                       f"pip install -c constraints.txt -e '.[{extra}]'")
    return None
