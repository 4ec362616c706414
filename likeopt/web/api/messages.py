"""One message of a conversation: what its reader thinks of an answer, and asking anew."""

import msgspec

from likeopt.errors import NotFound
from likeopt.storage import messages as stored
from likeopt.web.context import reader, services
from likeopt.web.endpoint import Endpoints

messages = Endpoints("messages", tag="Chat", prefix="/api/v1/messages")


class Rating(msgspec.Struct, forbid_unknown_fields=True):
    """Whether an answer was of use; null takes back what was said."""

    feedback: stored.Feedback | None


@messages.operation(
    "PUT",
    "/<id:message_id>/feedback",
    summary="Rate an answer",
    scope="chat",
    body=Rating,
    status=204,
    errors=(NotFound,),
    example='--json \'{"feedback": "up"}\'',
)
def rate(message_id: str, body: Rating) -> None:
    services().db.write(lambda c: stored.rate(c, reader(c), message_id, body.feedback))


@messages.operation(
    "DELETE",
    "/<id:question_id>",
    summary="Take back a question",
    scope="chat",
    detail="With its answers and all that was asked after it, to ask it differently.",
    status=204,
    errors=(NotFound,),
)
def take_back(question_id: str) -> None:
    services().db.write(lambda c: stored.take_back(c, reader(c), question_id))
