"""Certificates are verified, of Asterisk's and the broker's, unless nobody asked for TLS."""

import ssl

import pytest
import trustme
from aiohttp import web

from callsteward.ari.rest import HttpTransport, Rest, open_session
from callsteward.config import Asterisk, Config, Mqtt
from callsteward.exceptions import AriError
from callsteward.feed import broker


@pytest.fixture
async def https(tmp_path):
    """An ARI over https whose CA nobody knows; the URL and the CA's file."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))

    async def info(_request: web.Request) -> web.Response:
        return web.json_response({"system": {"version": "22"}})

    app = web.Application()
    app.router.add_get("/ari/asterisk/info", info)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"https://{host}:{port}", file
    await runner.cleanup()


async def test_an_asterisk_with_an_unknown_certificate_is_not_talked_to(https):
    url, _ = https
    settings = Asterisk(url=url)
    async with open_session(settings) as session:
        with pytest.raises(AriError, match=r"(?i)certificate"):
            await Rest(HttpTransport(session, settings)).info()


async def test_an_asterisk_whose_ca_is_configured_is_accepted(https):
    url, file = https
    settings = Asterisk(url=url, ca_file=file)
    async with open_session(settings) as session:
        assert (await Rest(HttpTransport(session, settings)).info()).version == "22"


async def test_an_asterisk_with_another_name_is_refused(https):
    url, file = https
    settings = Asterisk(url=url.replace("127.0.0.1", "localhost"), ca_file=file)
    async with open_session(settings) as session:
        with pytest.raises(AriError, match=r"(?i)certificate"):
            await Rest(HttpTransport(session, settings)).info()


def test_the_brokers_certificate_and_name_are_verified():
    context = broker._tls(Config(mqtt=Mqtt(tls=True)).mqtt)
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
