"""``python -m semalink_ops.reference FOLDER``: what `make docs` runs."""

import sys
from pathlib import Path

from semalink_ops.reference import write_pages

write_pages(Path(sys.argv[1]))
