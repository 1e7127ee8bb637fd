"""A shop in one file. It places and pays orders, and credits points when an order was received.

    AUTORECEIVE_WEBHOOK_SECRET=whsec_… python3 shop.py A-1001 A-1002

It needs only Python 3.9 or newer and the standard library.
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SERVICE = os.environ.get("AUTORECEIVE_URL", "http://127.0.0.1:8780")
TOKEN = os.environ.get("AUTORECEIVE_TOKEN")
PORT = int(os.environ.get("PORT", "9000"))
POINTS = os.environ.get("POINTS_FILE", "points.db")
BODY_BYTES = 256 * 1024


def read_key(secret):
    if not secret.startswith("whsec_"):
        sys.exit("AUTORECEIVE_WEBHOOK_SECRET must be a whsec_… secret")
    return base64.b64decode(secret[len("whsec_") :], validate=True)


KEY = read_key(os.environ.get("AUTORECEIVE_WEBHOOK_SECRET", ""))

# ---- calling the service ---------------------------------------------------------------------


class Refused(Exception):
    """The service refused the command. A repeat would get the same answer."""


def ask(path, body):
    """Sends a command. Repeats it after no answer, 408, 429 or 503: commands are safe to repeat."""
    headers = {"content-type": "application/json"}
    if TOKEN:
        headers["authorization"] = f"Bearer {TOKEN}"
    request = urllib.request.Request(
        SERVICE + path, json.dumps(body).encode(), headers, method="POST"
    )
    for attempt in range(1, 11):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            problem = json.load(error)
            if error.code not in (408, 429, 503):
                raise Refused(f"{problem['code']}: {problem['title']}") from None
            why = problem["title"]
        except OSError as error:
            why = str(error)
        time.sleep(min(0.5 * attempt, 5))
    raise TimeoutError(why)


def buy(order_id):
    ask(
        "/v1/orders",
        {"order_id": order_id, "buyer_id": "buyer-7", "amount": 59_000, "currency": "KRW"},
    )
    order = ask(f"/v1/orders/{urllib.parse.quote(order_id, safe='')}/pay", {})
    print(f"{order_id} is {order['status']}")


# ---- points, credited once -------------------------------------------------------------------


def database():
    connection = sqlite3.connect(POINTS, timeout=10)
    # The webhook is answered only after the credit is on the disk.
    connection.execute("pragma synchronous = full")
    return connection


def prepare():
    with closing(database()) as connection, connection:
        connection.execute("create table if not exists done (webhook_id text primary key)")
        connection.execute(
            "create table if not exists points (order_id text primary key, points integer not null)"
        )


def credit(webhook_id, order):
    """Stores the id and credits the points in one transaction: both happen once, or neither."""
    points = order.get("amount", 0) // 100
    with closing(database()) as connection, connection:
        new = connection.execute("insert or ignore into done values (?)", (webhook_id,)).rowcount
        if new:
            connection.execute("insert into points values (?, ?)", (order["order_id"], points))
    print(f"{order['order_id']}: {points} points" if new else f"{webhook_id} again: nothing to do")


# ---- receiving webhooks ----------------------------------------------------------------------


def is_genuine(headers, body):
    """Checks that it was signed with our secret in the last five minutes
    (https://www.standardwebhooks.com). `body` must be the original bytes, not parsed JSON."""
    webhook_id, seconds = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if (
        not webhook_id
        or not (seconds.isascii() and seconds.isdigit())
        or abs(time.time() - int(seconds)) > 300
    ):
        return False
    digest = hmac.digest(KEY, f"{webhook_id}.{seconds}.".encode() + body, hashlib.sha256)
    expected = b"v1," + base64.b64encode(digest)
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(signature.encode(), expected) for signature in given)


class Webhooks(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10  # seconds for each read

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()) or int(length) > BODY_BYTES:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(int(length))
        if not is_genuine(self.headers, body):
            return self.answer(401)
        event = json.loads(body)
        if event["type"] == "order.received":
            credit(self.headers["webhook-id"], event["data"]["order"])
        self.answer(204)  # Only after the work is done: without a 2xx the webhook comes again.

    def answer(self, status):
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format, *args):
        pass  # `credit` prints enough.


class Server(ThreadingHTTPServer):
    request_queue_size = 128


def main():
    prepare()
    server = Server(("127.0.0.1", PORT), Webhooks)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"receiving webhooks on http://127.0.0.1:{PORT}/")
    for order_id in sys.argv[1:]:
        buy(order_id)
    threading.Event().wait()


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    try:
        main()
    except KeyboardInterrupt:
        pass
