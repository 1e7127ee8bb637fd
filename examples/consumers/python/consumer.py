"""A consumer in a group: reads order events and credits points once per event id. See README.md."""

import json, os, sqlite3

import redis

STREAM, GROUP = os.environ.get("STREAM", "orders"), "points"
# Each instance needs its own name and keeps it over restarts: Redis stores its unacknowledged
# entries under this name.
CONSUMER = os.environ.get("CONSUMER", "points-1")

store = redis.Redis.from_url(
    os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"), decode_responses=True
)
db = sqlite3.connect(os.environ.get("DATABASE", "points.db"))
db.execute(
    "CREATE TABLE IF NOT EXISTS ledger (event_id TEXT PRIMARY KEY, buyer_id TEXT, points INTEGER)"
)


def handle(event):
    if event["type"] != "order.received":
        return
    order = json.loads(event["body"])["data"]["order"]
    # The event's id is the key of the credit, so a repeat does nothing.
    row = (event["id"], order.get("buyer_id"), order.get("amount", 0) // 100)
    with db:
        db.execute("INSERT INTO ledger VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row)


def main():
    try:
        store.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    except redis.ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise
    position = "0"  # first the entries that were read before a crash, then (">") new ones
    while True:
        answer = store.xreadgroup(GROUP, CONSUMER, {STREAM: position}, count=100, block=5000)
        entries = answer[0][1] if answer else []
        if position != ">" and not entries:
            position = ">"
        for entry_id, event in entries:
            if event:  # a trimmed entry has no fields
                handle(event)
            store.xack(STREAM, GROUP, entry_id)
        if position != ">" and entries:
            position = entries[-1][0]


main()
