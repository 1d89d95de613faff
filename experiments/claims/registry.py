"""The one table of claims, in the order in which they are run and shown: what is exact and cheap comes first."""

from .calibration import CLAIM as CALIBRATION
from .default_gap import CLAIM as DEFAULT_GAP
from .dose_response import CLAIM as DOSE_RESPONSE
from .escape_time import CLAIM as ESCAPE_TIME
from .gentle_vs_saturated import CLAIM as GENTLE_VS_SATURATED
from .landscape import CLAIM as LANDSCAPE
from .many_classes import CLAIM as MANY_CLASSES
from .nielsen_erratum import CLAIM as NIELSEN_ERRATUM
from .rate_unit import CLAIM as RATE_UNIT
from .record import Claim
from .stuck_deep_sigmoid import CLAIM as STUCK_DEEP_SIGMOID
from .tail_law import CLAIM as TAIL_LAW
from .textbook_network import CLAIM as TEXTBOOK_NETWORK

CLAIMS: dict[str, Claim] = {
    claim.id: claim
    for claim in (
        ESCAPE_TIME,
        NIELSEN_ERRATUM,
        TEXTBOOK_NETWORK,
        TAIL_LAW,
        RATE_UNIT,
        LANDSCAPE,
        GENTLE_VS_SATURATED,
        DOSE_RESPONSE,
        MANY_CLASSES,
        STUCK_DEEP_SIGMOID,
        CALIBRATION,
        DEFAULT_GAP,
    )
}
