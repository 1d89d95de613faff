"""The one table of claims, in the order in which they are run and shown: what is exact and cheap comes first."""

from experiments.claims import escape_time, nielsen_erratum, tail_law, textbook_network
from experiments.claims.record import Claim

CLAIMS: dict[str, Claim] = {
    module.CLAIM.id: module.CLAIM for module in (escape_time, nielsen_erratum, textbook_network, tail_law)
}
