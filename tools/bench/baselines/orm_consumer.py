"""A consumer as most tutorials write it: one message, one ORM object, one commit, one ack.

python -m tools.bench.baselines.orm_consumer
"""

import json
import os
from datetime import datetime
from decimal import Decimal

import pika
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import DateTime, Numeric, create_engine, func
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """The tables."""


class SingleBill(Base):
    """A bill."""

    __tablename__ = "bench_bills"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    number_of_items: Mapped[int]
    total_amount: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


engine = create_engine(os.environ["DATABASE_URL"])


def record(
    channel: BlockingChannel,
    method: pika.spec.Basic.Deliver,
    _properties: pika.BasicProperties,
    body: bytes,
) -> None:
    """Record one bill."""
    with Session(engine) as session:
        session.add(SingleBill(**json.loads(body)))
        session.commit()
    channel.basic_ack(method.delivery_tag)


def main() -> None:
    """Consume until killed."""
    Base.metadata.create_all(engine)
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["RABBITMQ_URL"]))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=200)
    channel.basic_consume(os.environ["RABBITMQ_QUEUE"], record)
    channel.start_consuming()


if __name__ == "__main__":
    main()
