"""How large a file of contacts may be."""

from dataclasses import dataclass, field

from semalink.domain.contact_file import FileLimits


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """How much of one request is taken."""

    #: Of the file, decompressed.
    bytes_max: int = 256 * 1024 * 1024
    #: How many times larger than it came a file may be; real ones come to a twentieth of this.
    ratio_max: int = 200
    #: Imports of one account that may be under way; looked at before a file is taken in.
    running_max: int = 20
    file: FileLimits = field(default_factory=FileLimits)


DEFAULT_LIMITS = UploadLimits()
