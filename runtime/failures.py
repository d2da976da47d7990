"""Why a server's answer is none, in a line for the person at the edge: the exchange failed, or the server refused."""

from profiles.errors import PeerError, UnansweredError
from runtime import protocol, tls
from runtime.connection_errors import ConnectionFailed, DeadlinePassed, Distrusted, Ended, NotHttp, Unreachable
from runtime.http_reply import Response
from runtime.identity import OtherHalfError


def failure(url: str, error: ConnectionFailed, *, timeout_s: float) -> PeerError:
    """An exchange that brought no reply; an UnansweredError where the server may answer another time."""
    secured = url.startswith("https")
    match error:
        case DeadlinePassed():
            return UnansweredError(f"{url} did not answer in time ({timeout_s:g} s); is the link that slow?")
        case Distrusted():
            return PeerError(f"{url} {tls.objection(error) or f'broke off TLS ({error})'}")
        case Ended():
            return PeerError(f"{url}: the exchange was given up here")
        case NotHttp():
            return PeerError(f"{url} does not speak HTTP as expected: {error}")
    if secured and not isinstance(error, Unreachable):
        return UnansweredError(f"{url} {tls.CLOSED_WITHOUT_A_WORD}")
    way = "with" if secured else "without"
    return UnansweredError(f"{url} cannot be reached ({error}); is `plan serve` running there, {way} TLS?")


def refusal(url: str, what: str, response: Response, *, token_given: bool, half_as_json: bool = False) -> PeerError:
    """A reply that is an error; an UnansweredError where it is the server's own. half_as_json: of the request's
    `Message`."""
    if response.status == 401:
        return PeerError(f"{url} {_token_objection(given=token_given)}")
    if response.status == OtherHalfError.status:
        return PeerError(f"{url} serves another network than was planned; start `plan serve` there with this plan")
    kind = UnansweredError if response.status >= 500 else PeerError
    hint = "; without binary tensors it may lack FP16: plan with --wire float32" if half_as_json else ""
    said = protocol.decode_error(bytes(response.body))
    return kind(f"{url} {what} (status {response.status}): {said}{hint}")


def _token_objection(*, given: bool) -> str:
    if given:
        return "does not accept this token; give a file whose first token is one of its own as --token-file"
    return "asks for a token; give a file with one of its own as --token-file"
