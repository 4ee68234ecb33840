"""Every read model there is."""

from semalink.projections.balances import BALANCES
from semalink.projections.entries import ENTRIES
from semalink.projections.journal import JOURNAL
from semalink.projections.messages import MESSAGES
from semalink.projections.projection import Projection
from semalink.projections.usage import USAGE

#: In the order in which a round of the projector serves them.
PROJECTIONS: tuple[Projection, ...] = (MESSAGES, BALANCES, ENTRIES, USAGE, JOURNAL)

BY_NAME = {projection.name: projection for projection in PROJECTIONS}
