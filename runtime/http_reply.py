"""One HTTP/1.1 reply, read by httptools as its bytes come, within limits. No socket in this file."""

from dataclasses import dataclass

import httptools

#: Limits on what a server may send: header fields, bytes of a body, and bytes around it: headers, trailers, chunks'
#: lengths and interim replies, beyond as much as the body has.
MOST_FIELDS, MOST_BODY_BYTES, MOST_FRAME_BYTES = 100, 256 * 2**20, 65_536


class NotHttpError(Exception):
    """It is no HTTP/1.1, or more than is taken."""


@dataclass(frozen=True)
class Response:
    """A whole reply; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytearray


class ReplyReader:
    """Fed with what a connection brings, until it is `done`. What follows the reply counts for nothing, but the
    connection is then not to be used again."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._status = self._fields = self._fed_bytes = 0
        self.done = self.keep_alive = False

    def feed(self, data: memoryview) -> None:
        """Raises NotHttpError."""
        self._fed_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self.done:  # the reply is whole; what came after it is not
                self.keep_alive = False
                return
            cause = error.__context__
            refused = cause if isinstance(cause, NotHttpError) else None
            raise refused or NotHttpError(f"its reply is not HTTP/1.1 ({str(error) or 'it'})") from error
        if self._fed_bytes - len(self._body) > MOST_FRAME_BYTES + len(self._body):
            raise NotHttpError(f"its reply has more than {MOST_FRAME_BYTES} bytes of headers and the like")

    # What httptools calls.
    def on_message_begin(self) -> None:
        if self.done:
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.done:
            return
        self._fields += 1
        if self._fields > MOST_FIELDS:
            raise NotHttpError(f"its reply has more than {MOST_FIELDS} header fields")
        if not self._status:  # else it is a trailer, and no header of a body that has been read
            self._headers[name.decode("latin1").lower()] = value.decode("latin1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.done:
            return
        if status < 200:  # an interim reply (100 Continue) is followed by the one that counts
            self._headers.clear()
        else:
            self._status = status

    def on_body(self, part: bytes) -> None:
        if self.done:
            return
        if len(self._body) + len(part) > MOST_BODY_BYTES:
            raise NotHttpError(f"its reply is longer than {MOST_BODY_BYTES} bytes")
        self._body += part

    def on_message_complete(self) -> None:
        if self._status and not self.done:
            self.done = True
            self.keep_alive = bool(self._parser.should_keep_alive())  # only in here does it know

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body has no length of its own, so that the connection's end is its end."""
        return bool(self._status) and not {"content-length", "transfer-encoding"} & self._headers.keys()

    def response(self) -> Response:
        return Response(self._status, self._headers, self._body)
