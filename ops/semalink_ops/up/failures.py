"""Why `semalink up` cannot go on."""


class UpFailed(Exception):
    """The platform could not be started; says what to do."""
