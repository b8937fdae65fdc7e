"""All that holds for the client, where nobody waits for the answer."""

from __future__ import annotations

import gc
import select
import threading
import time

import pytest
from urllib3.exceptions import HTTPError

from django_button_orders.client.api import (
    ButtonClient,
    Request,
    cancel_order,
    create_order,
    retrieve_order,
    update_order,
)
from django_button_orders.client.connection import lend, new_connection, take_back
from django_button_orders.client.exceptions import NoAnswerError, NotSentError
from django_button_orders.client.nonblocking import send_without_waiting
from tests.client import test_api
from tests.client.test_api import trusting
from tests.wire import (
    API_KEY,
    OK,
    WireTestCase,
    answer,
    close_connections,
    head,
    replies,
    replies_and_closes,
    self_signed,
)

RETRIEVE = retrieve_order("1994")
CREATE = create_order({"order_id": "1994", "total": 7000})


def connect(client):
    """
    Have a connection that no request was made over, unless there is one.

    Not through TLS, where the first thing that arrives is for the first request.
    """
    if client.base_url.startswith("https:"):
        return
    connection = lend(client) or new_connection(client)
    pool = connection.adapter.get_connection_with_tls_context(
        connection.template, verify=True
    )
    wire = pool._get_conn()
    if wire.sock is None:
        wire.timeout = min(client.timeout[0], client.deadline)
        try:
            wire.connect()
        except (OSError, HTTPError):
            wire.close()
    pool.put_back(wire)
    take_back(client, connection)


def wait_for(sent):
    """Read what arrives, as it does, and wait for it once it does so in pieces."""
    while not sent.must_wait:
        seconds = sent.late_at - time.monotonic()
        if seconds <= 0:
            raise sent.give_up()
        poll = select.poll()
        poll.register(sent, select.POLLIN)
        poll.poll(seconds * 1000)
        if (answer := sent.read()) is not None:
            return answer
    return sent.wait()


class KeptClient(ButtonClient):
    """A client that sends over a connection that it has, wherever it can."""

    def send(self, request, *, since=None):
        connect(self)
        since = time.monotonic() if since is None else since
        sent = send_without_waiting(self, request, since=since)
        return super().send(request, since=since) if sent is None else wait_for(sent)


class KeptConnections:
    """The tests of another class, over connections that stand already."""

    button_class = KeptClient


class SendTests(WireTestCase):
    """Whether there is something to send over, and what of it can be sent."""

    button_class = KeptClient

    def send(self, client, request=CREATE, **values):
        return send_without_waiting(client, request, since=time.monotonic(), **values)

    def test_without_a_connection(self):
        server = self.serve()

        assert self.send(self.button(server)) is None
        assert server.connections == 0

    def test_connection_that_has_ended(self):
        server = self.serve(replies_and_closes(answer()))
        client = self.button(server)
        connect(client)
        wait_for(self.send(client))
        server.wait_until_closed()

        assert self.send(client) is None
        assert len(server.received) == 1

    def test_connection_that_is_in_use(self):
        server = self.serve()
        client = self.button(server)
        connect(client)
        sent = self.send(client)

        assert self.send(client) is None

        wait_for(sent)
        wait_for(self.send(client))
        assert server.connections == 1

    def test_same_on_the_wire(self):
        """As those that wait send it, but for the place of the length."""
        plain, kept = self.serve(), self.serve()
        requests = (CREATE, update_order("1/9 ä", {}), cancel_order("7"), RETRIEVE)
        for request in requests:
            values = {"api_version": "2026-01-01"}
            waiting = ButtonClient(api_key=API_KEY, base_url=plain.url, **values)
            waiting.send(request)
            close_connections(waiting)
            client = self.button(kept, **values)
            connect(client)
            wait_for(self.send(client, request))

        assert len(plain.received) == len(kept.received) == len(requests)
        for one, other in zip(plain.received, kept.received, strict=True):
            headers = {**one.headers, "host": other.headers["host"]}
            assert (one.method, one.target) == (other.method, other.target)
            assert (headers, one.body) == (other.headers, other.body)

    def test_path_that_is_none(self):
        server = self.serve()
        client = self.button(server)
        for path in ("/v1/order HTTP/1.1\r\nX-More: 1", "/v1/a b", "/v1/\x7f", "/ä"):
            with self.subTest(path=path):
                connect(client)

                with pytest.raises(NotSentError):
                    self.send(client, Request("GET", path))

        assert server.received == []

    def test_nothing_is_sent_after_the_deadline(self):
        server = self.serve()
        client = self.button(server)
        connect(client)

        with pytest.raises(NotSentError) as caught:
            send_without_waiting(client, CREATE, since=time.monotonic() - 6)

        assert str(caught.value) == "The deadline passed before anything was sent."
        assert server.received == []

    def test_more_than_there_is_room_for(self):
        """The rest is sent by somebody who waits."""
        size = 2**24
        server = self.serve(reads=False)
        client = self.button(server, deadline=20, timeout=(2, 10))
        connect(client)

        sent = self.send(client, Request("POST", "/v1/order", b"x" * size))

        assert sent.must_wait
        while server.connections < 1:
            time.sleep(0.005)
        reader = threading.Thread(target=server.talk, args=(server.sockets[0], 1))
        reader.start()
        assert sent.wait().is_ok
        assert len(server.received[0].body) == size
        server.stop()
        reader.join(5)


class ReadTests(WireTestCase):
    button_class = KeptClient

    def sent(self, script, **values):
        server = self.serve(script)
        client = self.button(server, **values)
        connect(client)
        sent = send_without_waiting(client, CREATE, since=time.monotonic())
        return server, client, sent

    def test_nothing_has_arrived(self):
        _, _, sent = self.sent(lambda sock, received: None)

        assert sent.read() is None
        assert not sent.must_wait
        assert type(sent.give_up()) is NoAnswerError

    def test_given_up(self):
        """What comes late is nobody's answer."""
        server, client, sent = self.sent(lambda sock, received: None)

        assert str(sent.give_up()) == "Button did not answer in time."
        server.wait_until_closed()
        assert send_without_waiting(client, CREATE, since=time.monotonic()) is None

    def test_all_at_once_or_in_pieces(self):
        chunked = head(transfer_encoding="chunked", content_type="application/json")
        wholes = {
            "length": answer(),
            "chunks": chunked + b"%x\r\n%b\r\n0\r\n\r\n" % (len(OK), OK),
            "trailers": chunked + b"%x\r\n%b\r\n0\r\nX-A: b\r\n\r\n" % (len(OK), OK),
            "continue": head(100) + head(103, link="x") + answer(),
            "nothing": head(204),
            "error": answer(b'{"error": {"message": "no"}}', status=422),
        }
        server = self.serve()
        client = self.button(server)
        waiting = ButtonClient(api_key=API_KEY, base_url=server.url)
        self.addCleanup(close_connections, waiting)
        for name, data in wholes.items():
            server.script = replies(data)
            expected = waiting.send(CREATE)
            for cut in range(1, len(data), 7):
                with self.subTest(name=name, cut=cut):
                    server.script = in_two(data, cut)

                    assert client.send(CREATE) == expected
            with self.subTest(name=name):
                server.script = replies(data)
                sent = send_without_waiting(client, CREATE, since=time.monotonic())

                assert wait_for(sent) == expected
                assert not sent.must_wait
        assert server.connections == 2

    def test_more_than_an_answer(self):
        """What follows it would be taken for the next one."""
        _, client, sent = self.sent(answer() + answer(status=500))

        assert wait_for(sent).status_code == 200
        assert send_without_waiting(client, CREATE, since=time.monotonic()) is None
        assert client.send(CREATE).status_code == 200

    def test_more_than_is_read_of_an_answer(self):
        """The rest of it, which is still to come, is not the next answer."""
        size, go_on = 2 * 16384, threading.Event()
        self.addCleanup(go_on.set)
        later = answer() + b" " * (size - len(answer()))

        def script(sock, received):
            sock.sendall(head(500, content_length=3 * 16384))
            # As much as a record of TLS can have.
            sock.sendall(b" " * 16384)
            go_on.wait(5)
            sock.sendall(later)

        _, client, sent = self.sent(script, max_response_bytes=16000)
        time.sleep(0.1)

        assert wait_for(sent).status_code == 500
        go_on.set()
        assert client.send(CREATE).status_code == 500

    def test_server_that_keeps_no_connection(self):
        _, client, sent = self.sent(answer(connection="close"))

        assert wait_for(sent).is_ok
        assert send_without_waiting(client, CREATE, since=time.monotonic()) is None

    def test_through_tls(self):
        server = self.serve(tls=True)
        with self_signed() as path, trusting(path):
            client = self.button(server)
            client.send(CREATE)
            for _ in range(3):
                sent = send_without_waiting(client, CREATE, since=time.monotonic())
                assert wait_for(sent).is_ok

        assert server.connections == 1

    def test_sockets_are_closed(self):
        """None is left to the garbage collector, which would complain."""
        for script in (b"HTTP/1.1 2", answer()[:-5], b"nonsense\r\n\r\n", b"\r\n"):
            _, _, sent = self.sent(replies_and_closes(script))
            with pytest.raises(NoAnswerError):
                wait_for(sent)
            del sent
            gc.collect()


def in_two(data, cut):
    def script(sock, received):
        sock.sendall(data[:cut])
        time.sleep(0.002)
        sock.sendall(data[cut:])

    return script


class PathTests(KeptConnections, test_api.PathTests):
    pass


class HeaderTests(KeptConnections, test_api.HeaderTests):
    pass


class AnswerTests(KeptConnections, test_api.AnswerTests):
    pass


class RetryAfterTests(KeptConnections, test_api.RetryAfterTests):
    pass


class LimitTests(KeptConnections, test_api.LimitTests):
    pass


class DeadlineTests(KeptConnections, test_api.DeadlineTests):
    pass


class BrokenConnectionTests(KeptConnections, test_api.BrokenConnectionTests):
    pass


class RedirectTests(KeptConnections, test_api.RedirectTests):
    pass


class EnvironmentTests(KeptConnections, test_api.EnvironmentTests):
    pass


class TLSTests(KeptConnections, test_api.TLSTests):
    pass


class SecretTests(KeptConnections, test_api.SecretTests):
    pass
