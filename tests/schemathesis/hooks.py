"""What the OpenAPI document says in words and JSON Schema cannot say, so that what is generated as right is right."""

import json
from datetime import UTC, datetime

import schemathesis
from hypothesis import strategies as st

PAST = st.datetimes(datetime(1970, 1, 2), datetime(2026, 1, 1), timezones=st.just(UTC))

# A time may not lie ahead.
schemathesis.openapi.format("date-time", PAST.map(lambda time: time.isoformat().replace("+00:00", "Z")))
# A length is at most ten years.
schemathesis.openapi.format("length", st.builds("{}{}".format, st.integers(1, 3650), st.sampled_from(["ms", "s", "m", "h", "d"])))


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict):
        return body
    # A policy has to be configured.
    if isinstance(body.get("policy"), str) and body["policy"]:
        body["policy"] = "default"
    # A hold is named by its reason only where that is short.
    if isinstance(body.get("reason"), str) and len(body["reason"]) > 64 and body.get("id") is None:
        body["reason"] = body["reason"][:64]
    return body


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    return json.dumps(value).encode() + b"\n"


@schemathesis.deserializer("application/x-ndjson")
def first_line(context, response):
    return json.loads(response.content.splitlines()[0])
