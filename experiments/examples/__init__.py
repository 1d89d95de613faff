"""Networks and losses of a user's own, as small as they can be."""
