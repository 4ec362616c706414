"""What people ask most."""

import msgspec
import sqlalchemy as sa

from likeopt.storage.tables import conversations, messages, users


class Asked(msgspec.Struct, frozen=True):
    """A question that was asked `times` in the same way, the last time by `user_id`."""

    question: str
    asked_with: str | None
    user_id: str
    times: int


def most_asked(c: sa.Connection, since: int, limit: int) -> list[Asked]:
    """The questions asked most often since a time (ms since the epoch), most often first, of which
    only those count that begin a conversation: others mean nothing by themselves. Of people whose
    accounts are disabled, none."""
    earlier = messages.alias("earlier")
    opens = ~sa.exists().where(
        earlier.c.conversation_id == messages.c.conversation_id,
        earlier.c.created_at < messages.c.created_at,
    )
    same = (messages.c.content, messages.c.asked_with)
    asked = (
        sa.select(
            *same,
            conversations.c.owner_id,
            sa.func.count().over(partition_by=same).label("times"),
            sa.func.row_number()
            .over(partition_by=same, order_by=messages.c.created_at.desc())
            .label("place"),
            messages.c.created_at,
        )
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .join(users, users.c.id == conversations.c.owner_id)
        .where(
            messages.c.role == "user",
            messages.c.created_at >= since,
            users.c.disabled == 0,
            opens,
        )
        .subquery()
    )
    query = (
        sa.select(asked.c.content, asked.c.asked_with, asked.c.owner_id, asked.c.times)
        .where(asked.c.place == 1)
        .order_by(asked.c.times.desc(), asked.c.created_at.desc())
        .limit(limit)
    )
    return [Asked(*row) for row in c.execute(query)]
