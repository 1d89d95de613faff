"""The one table of claims, in the order in which they are run and shown: what is exact and cheap comes first."""

from experiments.claims.escape_time import CLAIM as ESCAPE_TIME
from experiments.claims.gentle_vs_saturated import CLAIM as GENTLE_VS_SATURATED
from experiments.claims.nielsen_erratum import CLAIM as NIELSEN_ERRATUM
from experiments.claims.record import Claim
from experiments.claims.tail_law import CLAIM as TAIL_LAW
from experiments.claims.textbook_network import CLAIM as TEXTBOOK_NETWORK

CLAIMS: dict[str, Claim] = {
    claim.id: claim
    for claim in (
        ESCAPE_TIME,
        NIELSEN_ERRATUM,
        TEXTBOOK_NETWORK,
        TAIL_LAW,
        GENTLE_VS_SATURATED,
    )
}
