"""As whom a server runs: PostgreSQL refuses to run as root."""

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from semalink_ops.embedded.guarded import EmbeddedServerFailed

_ROOT = 0
_UNPRIVILEGED_USER = "nobody"
#: `unshare` becomes the server: it has the same process id, and nothing stays in between.
_OWN_NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
_PROBE_SECONDS = 10.0
_OTHERS_MAY_PASS = stat.S_IXOTH
_OPEN_TO_PASS = 0o711


@dataclass(frozen=True, slots=True)
class Identity:
    """How to run a command as somebody else."""

    #: Stands before the command.
    prefix: tuple[str, ...] = ()
    #: The user and group to become; None to stay who we are.
    ids: tuple[int, int] | None = None

    def own(self, path: Path) -> None:
        """Give the file, or the folder and all in it, to whoever the command runs as."""
        uid, gid = self.ids or (os.geteuid(), os.getegid())
        if path.stat().st_uid == uid:
            return
        # The path itself comes last: once it is theirs, so is everything below.
        for folder, _, names in os.walk(path, topdown=False):
            for name in names:
                os.chown(Path(folder, name), uid, gid, follow_symlinks=False)
            os.chown(folder, uid, gid)
        os.chown(path, uid, gid)

    def open_way(self, folder: Path, program: Path) -> None:
        """Let the command pass through the folder, or say which parent keeps it out."""
        if self.ids is None:
            return
        folder.chmod(_OPEN_TO_PASS)
        for path in (folder.resolve(), program.resolve()):
            closed = first_closed_folder(path)
            if closed is not None:
                raise EmbeddedServerFailed(
                    "PostgreSQL",
                    f"it cannot run as root, and the user {_UNPRIVILEGED_USER} cannot pass "
                    f"through {closed}. Run as another user, or open the folder with "
                    f"`chmod o+x {closed}`.",
                )


def choose_identity() -> Identity:
    """Return ourselves, or when we are root the lightest way not to be."""
    if os.geteuid() != _ROOT:
        return Identity()
    return own_namespace() if can_make_namespace() else unprivileged_user()


def own_namespace() -> Identity:
    """Return root in disguise: in a user namespace that shows another user, files stay ours."""
    return Identity(prefix=_OWN_NAMESPACE)


def unprivileged_user() -> Identity:
    """Return the user that owns nothing, for systems that forbid user namespaces."""
    entry = pwd.getpwnam(_UNPRIVILEGED_USER)
    return Identity(ids=(entry.pw_uid, entry.pw_gid))


@cache
def can_make_namespace() -> bool:
    """Tell whether this system lets us make a user namespace; containers often do not."""
    if shutil.which(_OWN_NAMESPACE[0]) is None:
        return False
    probe = subprocess.run(  # noqa: S603 - a constant command
        [*_OWN_NAMESPACE, "true"], capture_output=True, check=False, timeout=_PROBE_SECONDS
    )
    return probe.returncode == 0


def first_closed_folder(path: Path) -> Path | None:
    """Return the outermost folder on the way to the path that strangers cannot pass."""
    for parent in reversed(path.parents):
        if not parent.stat().st_mode & _OTHERS_MAY_PASS:
            return parent
    return None
