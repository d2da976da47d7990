"""One inference request, from its body to the reply: a raw ASGI application for each model.

Everything between the socket and the engine is overhead of every inference, so there is no request object, headers
are looked through once, and what can wait until the reply is on its way (metrics, logs) does.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from profiles.errors import PlanError
from runtime import protocol
from runtime.batching import BusyError, Computed, EngineError, Scheduler
from runtime.bodies import Bodies, Body, GoneError, RefusedError
from runtime.handled import Handled
from runtime.identity import OtherHalfError
from runtime.lean_http import WHOLE_BODY
from runtime.logs import clean_id
from runtime.protocol import InferReply, InferRequest
from runtime.served import ServedModel
from runtime.server import Receive, Scope, Send

Array = NDArray[Any]

#: A client that sets this request parameter gets in the reply's parameters `plan_received_ns` and `plan_replied_ns`,
#: readings of the server's monotonic clock when the body had arrived and when the outputs stood, and
#: `plan_compute_ns`, how long the engine took.
TIMING = "plan_timing"
#: Numbers as JSON, or of fewer bits, take long to read: beyond so many bytes of them a thread does it.
MOST_INLINE_BYTES = 32_768
#: A reply up to this size is joined and sent at once; of a larger one nothing is copied.
MOST_JOINED_BYTES = 65_536
_HEADER_LENGTH = protocol.HEADER_LENGTH.lower().encode()


@dataclass
class Services:
    """What the models of one application share. handled: told of every request once its reply is on its way. failed:
    told of an engine's failure, with the model and the request's id."""

    scheduler: Scheduler
    bodies: Bodies
    handled: Callable[[Handled], None]
    failed: Callable[[str, str, EngineError], None]
    reader: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "read"))


@dataclass(slots=True)
class _Headers:
    """Those that matter to an inference. length: of the body, where it is told."""

    header_length: str | None = None
    length: int | None = None
    encoding: bytes = b"identity"
    request_id: bytes | None = None

    @classmethod
    def of(cls, scope: Scope) -> "_Headers":
        found = cls()
        for name, value in scope["headers"]:
            if name == _HEADER_LENGTH:
                found.header_length = value.decode("latin1")
            elif name == b"content-length":
                found.length = int(value) if value.isdigit() and len(value) <= 18 else None
            elif name == b"content-encoding":
                found.encoding = value
            elif name == b"x-request-id":
                found.request_id = value
        return found


class Inference:
    """POST .../infer of one model."""

    def __init__(self, model: ServedModel, services: Services) -> None:
        self._model, self._shared = model, services
        self._converts = model.dtypes is not None and model.dtypes != tuple(one.dtype for one in model.inputs)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _Headers.of(scope)
        handled = Handled(self._model.name)
        extra: list[tuple[bytes, bytes]] = []
        if headers.request_id is not None:
            handled.request_id = clean_id(headers.request_id.decode("latin1"))
            extra.append((b"x-request-id", handled.request_id.encode()))
        try:
            reply = await self._answer(headers, scope, receive, handled)
            parts, names = reply.parts, reply.headers
        except RefusedError as refused:
            parts, names = (protocol.encode_error(str(refused)),), {"Content-Type": "application/json"}
            handled.status, handled.refused = refused.status, refused.reason
            if refused.retry_after_s is not None:
                extra.append((b"retry-after", str(refused.retry_after_s).encode()))
        except GoneError:
            handled.status, handled.refused = 499, "gone"  # nobody reads it; as nginx counts such requests
            asyncio.get_running_loop().call_soon(self._shared.handled, handled)
            return
        handled.bytes_out = sum(map(len, parts))
        await send(
            {
                "type": "http.response.start",
                "status": handled.status,
                "headers": _raw(names, handled.bytes_out, extra),
            }
        )
        if handled.bytes_out <= MOST_JOINED_BYTES:
            parts = (b"".join(parts),)
        for part in parts[:-1]:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": parts[-1]})
        asyncio.get_running_loop().call_soon(self._shared.handled, handled)

    async def _answer(self, headers: _Headers, scope: Scope, receive: Receive, handled: Handled) -> protocol.Message:
        """The reply; `handled` is filled in on the way. Raises RefusedError, GoneError."""
        whole = WHOLE_BODY in scope.get("extensions", ())
        if headers.encoding.lower() != b"identity":
            raise RefusedError(415, "encoding", "compressed bodies are not taken, send it as it is")
        held = self._shared.bodies.admit(headers.length)
        try:
            body = await self._shared.bodies.read(receive, held, whole=whole)
            handled.received_ns, handled.bytes_in = time.monotonic_ns(), len(body)
            request, inputs = await self._decoded(body, headers)
            # The client's own, which its log has too, before one that a proxy may have added.
            handled.request_id = clean_id(request.id) or handled.request_id
            handled.rows = self._model.rows(inputs)
            handled.decoded_ns = time.monotonic_ns()
            computed = await self._computed(inputs, handled, receive)
        finally:
            held.release()
        handled.start_ns, handled.computed_ns = computed.start_ns, computed.end_ns
        handled.batch_requests, handled.batch_rows = computed.requests, computed.rows
        message = await self._encoded(request, computed, handled.received_ns)
        handled.replied_ns = time.monotonic_ns()
        return message

    async def _decoded(self, body: Body, headers: _Headers) -> tuple[InferRequest, list[Array]]:
        """The request, and its inputs as the engine takes them. Raises RefusedError."""
        slow = len(body) > MOST_INLINE_BYTES and (self._converts or _is_long(headers.header_length))
        try:
            if not slow:
                return self._read(body, headers.header_length)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._shared.reader, self._read, body, headers.header_length)
        except OtherHalfError as error:
            raise RefusedError(error.status, "half", str(error)) from error
        except PlanError as error:
            raise RefusedError(400, "request", str(error)) from error

    def _read(self, body: Body, header_length: str | None) -> tuple[InferRequest, list[Array]]:
        request = protocol.decode_request(body, header_length)
        return request, self._model.taken(request, most_rows=self._shared.bodies.limits.most_rows)

    async def _computed(self, inputs: Sequence[Array], handled: Handled, receive: Receive) -> Computed:
        try:
            now = self._shared.scheduler.run_now(self._model, inputs, handled.rows)
            return now or await self._waited(inputs, handled.rows, receive)
        except BusyError as busy:
            message = f"busy: {self._shared.scheduler.waiting} requests wait, try again in {busy.retry_after_s} s"
            raise RefusedError(503, "queue", message, retry_after_s=busy.retry_after_s) from None
        except EngineError as error:
            self._shared.failed(self._model.name, handled.request_id, error)
            raise RefusedError(500, "engine", "the server failed on this request") from None

    async def _waited(self, inputs: Sequence[Array], rows: int, receive: Receive) -> Computed:
        """The answer in its turn; dropped where the client goes before it has begun."""
        soon = self._shared.scheduler.soon
        done = self._shared.scheduler.submit(self._model, inputs, rows)
        if soon:  # a watch would cost more than an inference that nobody waits for
            return await done
        watch = asyncio.get_running_loop().create_task(_dropped_when_gone(done, receive))
        try:
            return await done
        except asyncio.CancelledError:
            if watch.done() and not watch.cancelled():
                raise GoneError from None
            raise
        finally:
            watch.cancel()

    async def _encoded(self, request: InferRequest, computed: Computed, received_ns: int) -> protocol.Message:
        timing: Mapping[str, Any] = {}
        if request.parameters.get(TIMING):
            timing = {
                "plan_received_ns": received_ns,
                "plan_replied_ns": time.monotonic_ns(),
                "plan_compute_ns": computed.end_ns - computed.start_ns,
            }
        named = self._model.named(computed.outputs, request.wanted)
        reply = InferReply(named, self._model.name, request.id, timing)
        binary = [name for name in named if request.is_binary(name)]
        as_json = sum(one.nbytes for name, one in named.items() if name not in binary)
        if as_json <= MOST_INLINE_BYTES:
            return protocol.encode_reply(reply, binary=binary)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._shared.reader, lambda: protocol.encode_reply(reply, binary=binary))


async def _dropped_when_gone(done: "asyncio.Future[Computed]", receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    done.cancel()


def _is_long(header_length: str | None) -> bool:
    """Whether the JSON in front may hold many numbers itself; all of the body is JSON where nothing is said."""
    short = header_length is not None and len(header_length) < 6 and header_length.isdecimal()
    return not (short and int(header_length or 0) <= MOST_INLINE_BYTES)


def _raw(names: Mapping[str, str], length: int, extra: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    headers = [(name.lower().encode(), value.encode()) for name, value in names.items()]
    return [*headers, (b"content-length", str(length).encode()), *extra]
