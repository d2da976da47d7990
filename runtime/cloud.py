"""The cloud half as a server: an ASGI application that speaks the Open Inference Protocol v2.

It runs the unmodified rest of the network and knows nothing of noise. Inferences go past routing and request objects
(`inference`); whatever else is asked, seldom, is Starlette's.
"""

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runtime import protocol
from runtime.batching import Batching, EngineError, Scheduler
from runtime.bodies import Bodies, Limits
from runtime.handled import Handled
from runtime.inference import Inference, Services
from runtime.logs import Log
from runtime.metrics import Metrics
from runtime.protocol import ServerMetadata
from runtime.served import ServedModel
from runtime.server import Receive, Scope, Send, Server, listen

__all__ = ["CloudApp", "Limits", "ServedModel", "Server", "listen"]


class CloudApp:
    """A few models as an ASGI application, for one event loop.

    It is live once it answers, and ready once every model has made an inference.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        version: str,
        limits: Limits | None = None,
        *,
        batching: Batching | None = None,
        log: Log | None = None,
    ) -> None:
        """models: by name. version: this program's. log: where a line for each inference goes, if anywhere."""
        self.models, self._version, self._log = models, version, log
        self._scheduler = Scheduler(batching or Batching(), batched=self._batched)
        self.metrics = Metrics(version, waiting=lambda: self._scheduler.waiting)
        self._warm: set[str] = set()
        self._warming: asyncio.Task[None] | None = None
        limits = limits or Limits()
        bodies = Bodies(limits, most_bytes=limits.body_bytes(list(models.values())))
        services = Services(self._scheduler, bodies, self._handled, self._failed)
        self._inferences: dict[str, Callable[[Scope, Receive, Send], Any]] = {}
        for name, model in models.items():
            inference = Inference(model, services)
            for place in (f"/v2/models/{name}/infer", f"/v2/models/{name}/versions/1/infer"):
                self._inferences[place] = inference
        self._others = self._routes()

    @property
    def ready(self) -> bool:
        return len(self._warm) == len(self.models)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            inference = self._inferences.get(scope["path"]) if scope["method"] == "POST" else None
            await (inference or self._others)(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """The application's life, as ASGI has it: models are warmed up from its beginning on, while it answers."""
        await receive()
        self._warm_up()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self._warming is not None:
            self._warming.cancel()
        self._scheduler.close()
        await send({"type": "lifespan.shutdown.complete"})

    def _warm_up(self) -> None:
        if self._warming is None:
            self._warming = asyncio.get_running_loop().create_task(self._warm_all())

    async def _warm_all(self) -> None:
        for model in self.models.values():
            with contextlib.suppress(EngineError):  # told by its log line; the model stays unready
                await self._warm_one(model)

    async def _warm_one(self, model: ServedModel) -> None:
        try:
            await self._scheduler.warm_up(model)
        except EngineError as error:
            self._failed(model.name, "", error)
            raise
        self._warm.add(model.name)
        if self._log is not None:
            expected_ms = round(self._scheduler.expected_ms(model), 4)
            self._log.event("ready", model=model.name, engine=model.engine.name, compute_ms=expected_ms)

    def _batched(self, model: ServedModel, requests: int, rows: int) -> None:
        self.metrics.batched(model.name, requests, rows)

    def _handled(self, handled: Handled) -> None:
        self.metrics.handled(handled)
        if self._log is not None:
            self._log.handled(handled)

    def _failed(self, model: str, request_id: str, error: EngineError) -> None:
        """Where in the code an engine failed, and with what kind of error: its words could hold values."""
        if self._log is not None:
            frames = traceback.extract_tb((error.__cause__ or error).__traceback__)[-3:]
            where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
            self._log.event(
                "engine_failed", level="error", request_id=request_id, model=model, error=str(error), where=where
            )

    def _routes(self) -> Starlette:
        routes = [
            Route("/v2", self._server),
            Route("/metrics", self._metrics),
            Route("/v2/health/live", self._alive),
            Route("/v2/health/ready", self._all_ready),
            Route("/v2/models/{model}", self._metadata),
            Route("/v2/models/{model}/ready", self._ready),
            Route("/v2/models/{model}/infer", self._unknown, methods=["POST"]),
            Route("/v2/models/{model}/versions/{version}", self._metadata),
            Route("/v2/models/{model}/versions/{version}/ready", self._ready),
            Route("/v2/models/{model}/versions/{version}/infer", self._unknown, methods=["POST"]),
        ]
        app = Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_allowed, 500: _broken})
        app.router.redirect_slashes = False  # it would send a client wherever the Host header says
        return app

    async def _server(self, _: Request) -> Response:
        return _json(ServerMetadata("plan", self._version, ("binary_tensor_data",)))

    async def _metrics(self, _: Request) -> Response:
        return Response(self.metrics.exposition(), headers={"content-type": self.metrics.content_type})

    async def _alive(self, _: Request) -> Response:
        return Response(status_code=200)

    async def _all_ready(self, _: Request) -> Response:
        self._warm_up()  # where a server has no lifespan
        return Response(status_code=200) if self.ready else _error("not ready: models are being warmed up", 503)

    async def _metadata(self, request: Request) -> Response:
        model = self._model(request)
        return _json(model.metadata()) if model else await self._unknown(request)

    async def _ready(self, request: Request) -> Response:
        self._warm_up()
        if (model := self._model(request)) is None:
            return await self._unknown(request)
        return Response(status_code=200) if model.name in self._warm else _error("not ready", 503)

    async def _unknown(self, request: Request) -> Response:
        return _error(f"no model {request.path_params['model'][:80]!r} of that version is served here", 404)

    def _model(self, request: Request) -> ServedModel | None:
        if request.path_params.get("version", "1") != "1":
            return None
        return self.models.get(request.path_params["model"])


def _json(facts: Any) -> Response:
    return Response(protocol.encode_metadata(facts), media_type="application/json")


def _error(message: str, status: int) -> Response:
    return Response(protocol.encode_error(message), status_code=status, media_type="application/json")


async def _not_found(_: Request, __: Exception) -> Response:
    return _error("no such place; the protocol's are under /v2", 404)


async def _not_allowed(_: Request, __: Exception) -> Response:
    return _error("the method is not allowed here", 405)


async def _broken(_: Request, __: Exception) -> Response:
    return _error("the server failed on this request", 500)
