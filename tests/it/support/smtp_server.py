"""An SMTP server for one test (aiosmtpd). Prints its port, then each accepted email as JSON.

The recipient's name decides the result: busy (451), gone (550), spam (554 after the text), hang,
flaky (451 once, then accepted). All others are accepted.
"""

import asyncio, json, ssl, sys

from aiosmtpd.smtp import SMTP, AuthResult

options = json.loads(sys.argv[1])
seen = set()


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        name = address.split("@")[0]
        if name == "busy" or (name == "flaky" and name not in seen):
            seen.add(name)
            return "451 4.3.2 come back later"
        if name == "gone":
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        name = envelope.rcpt_tos[0].split("@")[0]
        if name == "spam":
            return "554 5.7.1 not wanted"
        if name == "hang":
            await asyncio.sleep(3600)
        raw = envelope.original_content.decode("utf-8")
        email = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "raw": raw,
            "secured": session.ssl is not None or options["tls"] == "tls",
        }
        print(json.dumps(email), flush=True)
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    good = (data.login.decode(), data.password.decode()) == (options["user"], options["password"])
    return AuthResult(success=good, handled=False)


def connection():
    more = {}
    if options["user"]:
        more = {
            "authenticator": authenticate,
            "auth_required": True,
            "auth_require_tls": options["tls"] == "starttls",
        }
    if options["tls"] == "starttls":
        more |= {"tls_context": context, "require_starttls": True}
    return SMTP(Handler(), enable_SMTPUTF8=True, hostname="mail.test", **more)


async def main():
    server = await asyncio.get_running_loop().create_server(
        connection, "127.0.0.1", 0, ssl=context if options["tls"] == "tls" else None
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


context = None
if options["tls"] != "none":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options["certificate"], options["key"])
asyncio.run(main())
