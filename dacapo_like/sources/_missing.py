"""Chunks that are not there: filled, warned of, or an error, as the config of a source says."""

from __future__ import annotations

import warnings
from typing import Literal, TypeAlias

from dacapo_like.errors import DataWarning, ReadError

Missing: TypeAlias = Literal["fill", "warn", "error"]


class Absences:
    """What is done about chunks that are not there, as long as an array is open.

    Parameters
    ----------
    policy : {"fill", "warn", "error"}
        Of the config. What was warned of once is filled from then on.

    Examples
    --------
    >>> Absences("fill").matter
    False
    """

    def __init__(self, policy: Missing) -> None:
        self.policy: Missing = policy

    @property
    def matter(self) -> bool:
        """Whether anything is done about them, so that they have to be looked for."""
        return self.policy != "fill"

    def found(self, problem: str, where: str) -> None:
        """Raise, or warn once.

        Parameters
        ----------
        problem : str
            Which chunk is not there.
        where : str
            For messages: the array, and the voxels that were asked for.

        Raises
        ------
        ReadError
            The policy is ``error``.
        """
        if self.policy == "error":
            raise ReadError(
                "a chunk is missing",
                got=problem,
                where=where,
                hint="`missing: fill` reads the fill value there",
                key=("missing",),
            )
        if self.policy == "warn":
            self.policy = "fill"
            warnings.warn(
                f"{where}: {problem}; it is read as the fill value, "
                "and so is, without a further warning, all else of this array that is missing",
                DataWarning,
                stacklevel=3,
            )
