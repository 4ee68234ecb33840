"""What a refusal is; the refusals themselves are listed in ``errors``."""

from typing import ClassVar


class DomainError(Exception):
    """A refusal: the command was understood and is not allowed."""

    code: ClassVar[str]

    @property
    def pointer(self) -> str | None:
        """RFC 6901 pointer to the field of the request at fault, when there is one."""
        return None


class FieldRefusal(DomainError):
    """A refusal that one field of the request caused."""

    field: ClassVar[str]

    @property
    def pointer(self) -> str | None:
        """RFC 6901 pointer to the field at fault."""
        return f"/{self.field}"
