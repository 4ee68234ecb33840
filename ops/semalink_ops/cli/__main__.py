"""``python -m semalink_ops.cli``: how `semalink up` starts its processes."""

from semalink_ops.cli import main

main()
