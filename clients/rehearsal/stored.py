"""Responses that OpenAI's API keeps, so that a later one can go on from them."""

from collections import OrderedDict


class StoredResponses:
    """How many tokens each kept response brings to the next; the oldest go first."""

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._tokens: OrderedDict[str, int] = OrderedDict()

    def keep(self, response_id: str, tokens: int) -> None:
        """Keep a response: its prompt, what it said, and all before it."""
        while len(self._tokens) >= self._entries_max:
            self._tokens.popitem(last=False)
        self._tokens[response_id] = tokens

    def tokens_of(self, response_id: str) -> int | None:
        """Return the tokens of a response; None if it was not kept."""
        return self._tokens.get(response_id)

    def clear(self) -> None:
        """Forget all."""
        self._tokens.clear()
