"""What a failed call says."""

import enum
import json
from typing import Any, Optional


class Actor(enum.IntEnum):
    """Who can do something about an error."""

    NOBODY = 0
    CALLER = 1
    PERSON = 2
    SERVER = 3
    DEVICE = 4
    DEVELOPER = 5


class Error(Exception):
    """A stable code (docs/error-codes.md), a text without patient data, and who can act."""

    def __init__(self, code: int, reason: str, actor: Actor, outcome: Optional[str],
                 retry_after_s: Optional[float] = None, attempts_left: Optional[int] = None) -> None:
        super().__init__(f"{code}: {reason}")
        #: The stable code.
        self.code = code
        #: One line of English.
        self.reason = reason
        #: Who can act.
        self.actor = actor
        #: How many seconds further passcodes are refused; None where the error says nothing of it.
        self.retry_after_s = retry_after_s
        #: Wrong passcodes that are left until the store erases itself, likewise.
        self.attempts_left = attempts_left
        self._outcome = outcome

    @property
    def operation_outcome(self) -> "Optional[dict[str, Any]]":
        """The error as a FHIR OperationOutcome; None where it is no matter of FHIR."""
        return None if self._outcome is None else json.loads(self._outcome)
