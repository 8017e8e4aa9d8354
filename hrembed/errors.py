"""Every failure that hrembed raises on purpose.

* HrembedError             1  base class: expected, explained, no traceback
  - ConfigError            2  the YAML or a flag is wrong
  - DataError              3  an input file is missing, malformed or empty
    - MendedError          3  ... and what was wrong with it is gone from the copy that was written
  - ModelError             4  a model cannot be found, loaded or trained
  - ThresholdError         5  the run finished, but a limit in the config was not met
  - InconclusiveError      6  the run finished without a verdict, and the config asks to fail then
  - StoppedError         130  Ctrl-C or SIGTERM
"""

from __future__ import annotations


class HrembedError(Exception):
    """A failure that the user can understand and act on.

    Attributes:
        exit_code: Status with which the command line ends.
        hint: What to do next, or an empty text.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(HrembedError):
    """The YAML or a flag is wrong."""

    exit_code = 2


class DataError(HrembedError):
    """An input file is missing, malformed or empty."""

    exit_code = 3


class MendedError(DataError):
    """Something was wrong with the data, and is gone from the copy that the command wrote."""


class ModelError(HrembedError):
    """A model cannot be found, loaded or trained."""

    exit_code = 4


class ThresholdError(HrembedError):
    """The run finished, but a limit in the config was not met."""

    exit_code = 5


class InconclusiveError(HrembedError):
    """The run finished without a verdict, and the config asks to fail then."""

    exit_code = 6


class StoppedError(HrembedError):
    """The user or the system asked the command to stop."""

    exit_code = 130


def raised_here(err: BaseException) -> bool:
    """Whether hrembed itself raised an exception, and not a library that it called: then it is a bug of ours.

    Where everything that a library may raise becomes a message, such an exception must stay a traceback.
    """
    place = err.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place is not None and str(place.tb_frame.f_globals.get("__name__", "")).startswith("hrembed.")
