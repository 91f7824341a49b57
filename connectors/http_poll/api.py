"""One list of one campus's API: a question asked, its records read. What a status means is in `connectors.sdk.http`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.http_poll.options import PollOptions
from connectors.http_poll.paging import Question
from connectors.sdk.contract import ConfigError, Context, Item, Transient
from connectors.sdk.http import Answer, JsonClient, Refused
from connectors.sdk.mapping.expressions import MISSING, compile_path

# What an API says of a link or a token that it does not know any more.
_FORGOTTEN = frozenset({400, 404, 410, 422})


class Forgotten(ConfigError):
    """The campus does not know this page (any more). Asked for a first page: the question is wrong."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One answer and the records in it."""

    answer: Answer
    records: list[Any]


class Api:
    """The list that `path` names."""

    def __init__(self, options: PollOptions, context: Context) -> None:
        self.options = options
        self.client = JsonClient.of(
            options, context.clock, context.transport, other_hosts=bool(options.allow_hosts)
        )
        self.more = compile_path(options.more) if options.more else None
        self._records = compile_path(options.records)
        self._key = compile_path(options.key) if options.key else None

    async def ask(self, question: Question, since: str | None = None) -> Listing:
        """One request. `since` takes the place of `{cursor}`. Raises as `JsonClient.request`, or `Forgotten`."""
        if question.url is not None:
            return self._listing(await self._answer(question.url, {}))
        params = self.options.params
        if since is not None:
            params = {name: value.replace("{cursor}", since) for name, value in params.items()}
        return self._listing(await self._answer(self.options.path, {**params, **question.params}))

    def item(self, record: Any, origin: str) -> Item:
        """A record as the runtime takes it. One without `key` stands alone."""
        key = self._key(record) if self._key else None
        return Item(record, origin, None if key is None or key is MISSING else str(key))

    async def _answer(self, url: str, params: Mapping[str, str]) -> Answer:
        reply = await self.client.exchange("GET", url, params=params)
        try:
            return self.client.read(reply)
        except Refused as error:
            kind = Forgotten if reply.status in _FORGOTTEN else ConfigError
            raise kind(f"{error}: refuses our question; correct path and params") from error
        except ConfigError as error:
            if reply.status in _FORGOTTEN:
                raise Forgotten(str(error)) from error
            raise

    def _listing(self, answer: Answer) -> Listing:
        if answer.ignored:
            return Listing(answer, [])
        records = self._records(answer.data)
        if not isinstance(records, list):
            raise Transient(
                f"GET {answer.url}: {self.options.records!r} is {type(records).__name__}, wanted a list; "
                "correct `records` or the API"
            )
        return Listing(answer, records)
