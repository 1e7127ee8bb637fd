"""Rules that the OpenAPI document states only in words, so that valid test cases are valid."""

import json
import re
from datetime import UTC, datetime

import schemathesis
from hypothesis import strategies as st

PAST = st.datetimes(datetime(1970, 1, 2), datetime(2026, 1, 1), timezones=st.just(UTC))

# Times must not be in the future.
schemathesis.openapi.format(
    "date-time", PAST.map(lambda time: time.isoformat().replace("+00:00", "Z"))
)
# Durations are at most ten years.
schemathesis.openapi.format(
    "length",
    st.builds("{}{}".format, st.integers(1, 3650), st.sampled_from(["ms", "s", "m", "h", "d"])),
)


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict):
        return body
    # Invalid cases stay invalid. A valid policy must be configured.
    if isinstance(body.get("policy"), str) and re.fullmatch("[a-z0-9_-]{1,32}", body["policy"]):
        body["policy"] = "default"
    # A hold without an id uses its reason as the id, so the reason must be short.
    if (
        isinstance(body.get("reason"), str)
        and 64 < len(body["reason"]) <= 200
        and body.get("id") is None
    ):
        body["reason"] = body["reason"][:64]
    return body


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    return json.dumps(value).encode() + b"\n"


@schemathesis.deserializer("application/x-ndjson")
def first_line(context, response):
    return json.loads(response.content.splitlines()[0])
