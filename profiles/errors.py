"""What can go wrong, as a tree; the floor of the project: imports nothing of ours.

    PlanError                    exit 2: the input is not usable as it stands
    ├── ArtifactError            a file is missing, cut short, of another schema, or a field of it is wrong
    ├── ModelError               no such model, or its module cannot be loaded
    │   └── TraceError           the model cannot be exported; the message names the place in the user's code
    ├── ProfileError             profiles that contradict themselves or each other
    ├── LinkError                a link that cannot be (no bandwidth, negative delay), or no such preset
    ├── CutError                 a cut or node that is not there, or not legal
    ├── DataError                no such data set, or data of the wrong form
    ├── NoiseError               a noise file learned for something else, or noise that cannot be made
    ├── EqualityError            the two halves do not compute what the whole does
    ├── UrlError             an address that is none
    ├── ListenError              the server cannot listen there
    ├── SecurityError            a token, certificate or key that cannot be used, or a connection that needs one
    ├── InfeasibleError          exit 3: nothing meets what was asked
    └── PeerError                exit 4: a peer or a link failed
        └── UnansweredError      it cannot be reached, is too late, or failed by itself; that may pass

Every message is one line: what was got, what was expected, what to do next.
"""


class PlanError(Exception):
    """Base of all; `exit_code` is what the command line returns for it."""

    exit_code = 2


class ArtifactError(PlanError):
    pass


class ModelError(PlanError):
    pass


class TraceError(ModelError):
    pass


class ProfileError(PlanError):
    pass


class LinkError(PlanError):
    pass


class CutError(PlanError):
    pass


class DataError(PlanError):
    pass


class NoiseError(PlanError):
    pass


class EqualityError(PlanError):
    pass


class UrlError(PlanError):
    pass


class ListenError(PlanError):
    pass


class SecurityError(PlanError):
    pass


class InfeasibleError(PlanError):
    exit_code = 3


class PeerError(PlanError):
    exit_code = 4


class UnansweredError(PeerError):
    pass
