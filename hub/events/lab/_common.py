"""What the lab rules share: finding resource and request, times in words, minutes that are held."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from hub.domain.lab import AccessRequest, Resource, Span
from hub.domain.reasons import Reason
from hub.domain.times import SHANGHAI
from hub.ledger.posting import Book
from hub.ledger.state import Rejected, View, Waiting, waits_until_known
from schemas.envelope import from_millis
from schemas.records import Posting

_LATEST = datetime(9999, 12, 31, tzinfo=UTC)  # later moments have no date in Shanghai


class AboutResource(Protocol):
    """An event about a resource."""

    @property
    def resource_id(self) -> str: ...
    @property
    def owner(self) -> str: ...


class OnRequest(AboutResource, Protocol):
    """An event about a request, of which it names all parties."""

    @property
    def home(self) -> str: ...


def known_resource(event: AboutResource, view: View) -> Resource | Rejected | Waiting:
    """The resource the event is about, or why there is none."""
    resource = view.find(Resource, event.resource_id)
    if resource is None:
        return waits_until_known(
            Resource,
            event.resource_id,
            f"resource {event.resource_id} is not known yet; it waits for lab.resource-changed of {event.owner}",
        )
    if resource.owner != event.owner:
        return Rejected(
            Reason.NOT_WRITER,
            f"resource {event.resource_id} belongs to {resource.owner}, the event names {event.owner}; correct the event",
            about=resource,
        )
    return resource


def known_request(
    event: OnRequest, request_id: str, view: View
) -> AccessRequest | Rejected | Waiting:
    """The request the event is about, or why there is none."""
    request = view.find(AccessRequest, request_id)
    if request is None:
        return waits_until_known(
            AccessRequest,
            request_id,
            f"request {request_id} is not known yet; it waits for lab.access-requested of {event.home}",
        )
    named = (event.resource_id, event.home, event.owner)
    if named != (request.resource_id, request.home, request.owner):
        return Rejected(
            Reason.NOT_WRITER,
            f"request {request_id} is of {request.home} to {request.owner} for {request.resource_id}, the event names "
            f"{event.home}, {event.owner} and {event.resource_id}; correct the event",
            about=request,
        )
    return request


def out_of_service(resource: Resource, span: Span) -> Rejected | None:
    """Why a resource that is operational now is not at some moment of a span."""
    outage = next((outage for outage in resource.outages if outage.overlaps(span)), None)
    if outage is None:
        return None
    return Rejected(
        Reason.SLOT_CONFLICT,
        f"resource {resource.id} is out of service {in_words(outage)}, wanted {in_words(span)}; choose another time",
        about=resource,
    )


def not_operational(resource: Resource) -> Rejected | None:
    """Why the resource cannot be booked at all."""
    if resource.state == "operational":
        return None
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"resource {resource.id} is {resource.state}, wanted operational; choose another resource or wait",
        about=resource,
    )


def slot_id(request_id: str) -> str:
    """The pending amount that holds the minutes of an approved request."""
    return f"slot/{request_id}"


def void_minutes(book: Book, request_id: str) -> tuple[Posting, ...]:
    """Give back the minutes that a request still holds, if any."""
    pending = book.pendings.get(slot_id(request_id))
    if pending is None or pending.open == 0:
        return ()
    return (book.settle("void", slot_id(request_id), pending.open),)


def in_words(span: Span) -> str:
    """A span in the alliance's time, to the minute."""
    return f"from {local(from_millis(span.start_ms))} to {local(from_millis(span.end_ms))}"


def local(at: datetime) -> str:
    """A moment in the alliance's time, to the minute: `2027-04-26 09:00`."""
    return f"{min(at, _LATEST).astimezone(SHANGHAI):%Y-%m-%d %H:%M}"
