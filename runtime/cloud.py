"""The cloud half as a server: an ASGI application that speaks the Open Inference Protocol v2.

It runs the unmodified rest of the network and knows nothing of noise. It binds loopback unless told otherwise.
"""

import asyncio
import functools
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from profiles import codec
from profiles.engine import Engine
from profiles.errors import ListenError, PlanError
from runtime import protocol
from runtime.connections import ConnectionLimits, Doors, GuardedConnection
from runtime.contract import TensorContract, rows_of
from runtime.guard import ServerSecurity
from runtime.identity import require_identity
from runtime.protocol import (
    InferReply,
    InferRequest,
    ModelMetadata,
    ProtocolError,
    ServerMetadata,
)

#: A client that sets this request parameter gets `plan_received_ns` and `plan_replied_ns` in the reply's parameters:
#: readings of the server's monotonic clock when the body had arrived and when the outputs stood.
TIMING = "plan_timing"
#: A body of many rows is no larger.
MOST_BODY_BYTES = 256 * 2**20


@dataclass(frozen=True)
class ServedModel:
    """What one name of the server runs. inputs: as they cross; dtypes: as the engine takes them, where that differs
    (a wire of fewer bits). identity: of the half; a request that expects another is refused."""

    name: str
    engine: Engine
    inputs: tuple[TensorContract, ...]
    outputs: tuple[TensorContract, ...]
    dtypes: tuple[str, ...] | None = None
    identity: str | None = None

    def metadata(self) -> ModelMetadata:
        inputs, outputs = (tuple(one.facts() for one in side) for side in (self.inputs, self.outputs))
        return ModelMetadata(self.name, inputs, outputs, ("1",), f"plan_{self.engine.name}")

    def checked(self, tensors: Mapping[str, NDArray[Any]], *, most_rows: int) -> list[NDArray[Any]]:
        """The inputs in order. Raises ProtocolError: a name, shape, type or batch that is not this model's."""
        names = [one.name for one in self.inputs]
        if sorted(tensors) != sorted(names):
            raise ProtocolError(f"got inputs {sorted(tensors)}, expected {sorted(names)}")
        for one in self.inputs:
            if (objection := one.objection(tensors[one.name])) is not None:
                raise ProtocolError(f"input {objection}")
        ordered = [tensors[name] for name in names]
        rows = rows_of(self.inputs, ordered)
        if len(rows) > 1 or not all(1 <= count <= most_rows for count in rows):
            raise ProtocolError(f"got batches of {sorted(rows)}, expected one of 1 to {most_rows} for all inputs")
        return ordered

    def infer(self, request: InferRequest, *, most_rows: int) -> InferReply:
        received_ns = time.monotonic_ns()
        require_identity(self.identity, request.parameters)
        inputs = self.checked(request.tensors, most_rows=most_rows)
        if self.dtypes is not None:
            inputs = [
                codec.from_wire(tensor, name=one.name, dtype=dtype, parameters=request.parameters)
                for tensor, one, dtype in zip(inputs, self.inputs, self.dtypes, strict=True)
            ]
        outputs = dict(zip((one.name for one in self.outputs), self.engine.run(inputs), strict=True))
        unknown = [name for name in request.wanted if name not in outputs]
        if unknown:
            raise ProtocolError(f"no output {unknown[0][:80]!r}, there are {list(outputs)}")
        kept = {name: outputs[name] for name in request.wanted or outputs}
        timing = {}
        if request.parameters.get(TIMING):
            timing = {"plan_received_ns": received_ns, "plan_replied_ns": time.monotonic_ns()}
        return InferReply(kept, self.name, request.id, timing)


@dataclass(frozen=True)
class Limits:
    """most_rows: of one batch. most_bytes: of a body; derived from the models where None. most_bodies: read at one
    time. body_s: how long a body may take to arrive, seconds."""

    most_rows: int = 512
    most_bytes: int | None = None
    most_bodies: int = 16
    body_s: float = 60.0

    def body_bytes(self, models: Sequence[ServedModel]) -> int:
        if self.most_bytes is not None:
            return self.most_bytes
        largest = max(sum(one.row_bytes for one in model.inputs) for model in models)
        # One row always goes, also as JSON, whose numbers take up to some 25 characters; many as far as memory lasts.
        return 65_536 + max(25 * largest, min(self.most_rows * largest, MOST_BODY_BYTES))


@dataclass(frozen=True)
class CloudApp:
    """The application's endpoints over a few models."""

    models: Mapping[str, ServedModel]
    version: str
    limits: Limits = field(default_factory=Limits)
    # One inference at a time: two would share the cores and both come later.
    worker: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "infer"))
    _open_bodies: set[object] = field(default_factory=set)

    def asgi(self) -> Starlette:
        """The application, ready for any ASGI server."""
        routes = [
            Route("/v2", self._server),
            Route("/v2/health/live", self._yes),
            Route("/v2/health/ready", self._yes),
            Route("/v2/models/{model}", self._metadata),
            Route("/v2/models/{model}/ready", self._ready),
            Route("/v2/models/{model}/infer", self._infer, methods=["POST"]),
            Route("/v2/models/{model}/versions/{version}", self._metadata),
            Route("/v2/models/{model}/versions/{version}/ready", self._ready),
            Route("/v2/models/{model}/versions/{version}/infer", self._infer, methods=["POST"]),
        ]
        return Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_allowed, 500: _broken})

    async def _server(self, _: Request) -> Response:
        return _json(ServerMetadata("plan", self.version, ("binary_tensor_data",)))

    async def _yes(self, _: Request) -> Response:
        return Response(status_code=200)

    async def _metadata(self, request: Request) -> Response:
        model = self._model(request)
        return _json(model.metadata()) if model else _no_model(request)

    async def _ready(self, request: Request) -> Response:
        return Response(status_code=200) if self._model(request) else _no_model(request)

    async def _infer(self, request: Request) -> Response:
        model = self._model(request)
        if model is None:
            return _no_model(request)
        if request.headers.get("content-encoding", "identity") != "identity":
            return _error("compressed bodies are not taken, send it as it is", 415)
        if len(self._open_bodies) >= self.limits.most_bodies:
            return _error(f"busy: {self.limits.most_bodies} requests are under way, try again", 503)
        mark = object()
        self._open_bodies.add(mark)
        try:
            return await self._answer(model, request)
        finally:
            self._open_bodies.discard(mark)

    async def _answer(self, model: ServedModel, request: Request) -> Response:
        try:
            async with asyncio.timeout(self.limits.body_s):
                body = await self._body(request)
            if body is None:
                return _error("the body is larger than this server takes", 413)
            header_length, loop = request.headers.get(protocol.HEADER_LENGTH), asyncio.get_running_loop()
            if header_length is None:  # numbers as JSON take long to read, and health must be told meanwhile
                decoded = await loop.run_in_executor(self.worker, protocol.decode_request, body, None)
            else:
                decoded = protocol.decode_request(body, header_length)
            reply = await loop.run_in_executor(self.worker, self._run, model, decoded)
        except PlanError as error:
            return _error(str(error), getattr(error, "status", 400))
        except TimeoutError:
            return _error(f"the body did not arrive within {self.limits.body_s:g} s", 408)
        except ClientDisconnect:
            return Response(status_code=400)
        binary = [name for name in reply.tensors if decoded.is_binary(name)]
        message = protocol.encode_reply(reply, binary=binary)
        return Response(message.body, headers=dict(message.headers))

    def _run(self, model: ServedModel, request: InferRequest) -> InferReply:
        return model.infer(request, most_rows=self.limits.most_rows)

    async def _body(self, request: Request) -> bytes | None:
        """The body, or None where it is larger than the limit; never more than the limit is held."""
        most = self.limits.body_bytes(list(self.models.values()))
        parts, total = [], 0
        async for part in request.stream():
            total += len(part)
            if total > most:
                return None
            parts.append(part)
        return b"".join(parts)

    def _model(self, request: Request) -> ServedModel | None:
        if request.path_params.get("version", "1") != "1":
            return None
        return self.models.get(request.path_params["model"])


def _json(facts: Any) -> Response:
    return Response(protocol.encode_metadata(facts), media_type="application/json")


def _error(message: str, status: int) -> Response:
    return Response(protocol.encode_error(message), status_code=status, media_type="application/json")


def _no_model(request: Request) -> Response:
    return _error(f"no model {request.path_params['model'][:80]!r} of that version is served here", 404)


async def _not_found(_: Request, __: Exception) -> Response:
    return _error("no such place; the protocol's are under /v2", 404)


async def _not_allowed(_: Request, __: Exception) -> Response:
    return _error("the method is not allowed here", 405)


async def _broken(_: Request, __: Exception) -> Response:
    return _error("the server failed on this request", 500)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises ListenError: the port is taken, or the address is not this machine's."""
    if not host:
        raise ListenError("no address to listen on; give --host 127.0.0.1, or 0.0.0.0 for every interface")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        found.bind((host, port))
        found.listen(128)
    except (OSError, OverflowError) as error:
        found.close()
        raise ListenError(
            f"cannot listen on {host}:{port} ({getattr(error, 'strerror', None) or error}); "
            "choose another with --port (0 takes a free one)"
        ) from error
    return found


class Server(uvicorn.Server):
    """uvicorn on a socket that is already bound; no lines of its own on the terminal.

    security: who is let in, and TLS; None: everyone, in plain. limits: of connections and of how requests arrive.
    """

    def __init__(
        self,
        app: CloudApp,
        *,
        security: ServerSecurity | None = None,
        limits: ConnectionLimits | None = None,
        keep_alive_s: int = 75,
    ) -> None:
        security = security or ServerSecurity()
        # Half-sent requests never take all the places that the application has.
        limits = limits or ConnectionLimits(most_half_sent=max(1, app.limits.most_bodies // 2))
        settings = uvicorn.Config(
            security.guarded(app.asgi()),
            http=functools.partial(GuardedConnection, doors=Doors(limits)),  # type: ignore[arg-type]
            ws="none",
            proxy_headers=False,
            log_level="critical",
            access_log=False,
            lifespan="off",
            date_header=False,
            server_header=False,
            timeout_keep_alive=keep_alive_s,
            timeout_graceful_shutdown=2,
        )
        settings.load()
        settings.ssl = security.tls
        super().__init__(settings)
