"""What the exit status of every command means; scripts may rely on it."""

OK = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
NOT_ALLOWED = 4
CONFLICT = 5
#: A check found something that is not as it must be.
DIFFERENCES = 6
#: The other side is away or too slow; the same command may succeed later.
UNAVAILABLE = 7
#: 128 and the number of SIGINT, as shells count.
INTERRUPTED = 130

MEANINGS = {
    OK: "It is done.",
    FAILED: "It could not be done; the sentence on stderr says why.",
    USAGE: "The command line or the settings are wrong.",
    NOT_FOUND: "There is no such account, key or message.",
    NOT_ALLOWED: "The API key is missing, wrong or has no right to this.",
    CONFLICT: "A key or reference was used before, for something else.",
    DIFFERENCES: "A check found something that is not as it must be.",
    UNAVAILABLE: "The server or database is away or too slow; try again later.",
    INTERRUPTED: "It was interrupted.",
}
