"""Identity tokens: where they come from, which are good, and that nobody gets to see them."""

from __future__ import annotations

import gc
import io
import logging
import urllib.request
import webbrowser
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlencode

import jwt
import pytest

from oms_gate.errors import ConfigError, SigningError
from oms_gate.signing import identity_tokens
from oms_gate.signing.identity_tokens import ambient_token, interactive_token, read_token
from oms_gate.signing.sigstore import SigstoreInstance
from tests.oms.forge import encode
from tests.peers.wire import Request, Response
from tests.sigstore.server import SigstoreServer

# The library leaves the socket open on which it waited for the browser.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

SECRET = "not for anybody to see: a secret of some length"
MINUTE = timedelta(minutes=1)
# By which the library recognizes where it runs.
PLACES = ("GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI", "GOOGLE_SERVICE_ACCOUNT_NAME")


def token(**changes: object) -> str:
    """A token that is good but for these claims: times from now on, and None to leave one out."""
    claims: dict[str, object] = {
        "iss": "https://issuer.example.com",
        "aud": "sigstore",
        "sub": "somebody-secret",
        "iat": timedelta(),
        "exp": 5 * MINUTE,
    }
    claims |= changes
    now = datetime.now(UTC)
    claims = {
        name: now + value if isinstance(value, timedelta) else value
        for name, value in claims.items()
        if value is not None
    }
    return jwt.encode(claims, SECRET, algorithm="HS256")


def assert_hidden(secret: str, text: str) -> None:
    for part in (secret[:80], *secret.split(".")):
        assert not part or part not in text


@pytest.mark.parametrize("around", ["{}", " {}\n"])
def test_a_good_token_names_somebody(around: str) -> None:
    good = token()
    identity = read_token(around.format(good))
    assert identity.identity == "somebody-secret"
    assert str(identity) == good


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"exp": -MINUTE}, "it has expired"),
        ({"exp": -timedelta(seconds=1)}, "it is not within its validity period"),
        ({"exp": str(2**40)}, "it is malformed"),
        ({"nbf": MINUTE}, "it is not within its validity period"),
        ({"iat": MINUTE}, "it is not valid yet"),
        ({"aud": "somebody else"}, "it is for another audience than 'sigstore'"),
        ({"aud": None}, "it lacks the claim 'aud'"),
        ({"sub": None}, "it lacks the claim 'sub'"),
        ({"sub": ""}, "it names nobody"),
        ({"exp": None}, "it lacks the claim 'exp'"),
        ({"exp": "soon-secret"}, "it is malformed"),
        ({"iss": None}, "it lacks the claim 'iss'"),
        ({"iss": "https://accounts.google.com"}, "it is missing the required 'email' claim"),
        ({"federated_claims": "secret"}, "unexpected claim type: federated_claims is not a dict"),
    ],
)
def test_a_bad_token_is_refused_unseen(changes: dict[str, object], fault: str) -> None:
    refused_unseen(token(**changes), fault)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "secret",
        "secret.secret",
        "secret.secret.secret.secret",
        "s\u00e9cret.secret.secret",
        token().replace(".", "\r\nX: secret."),
        token() + "\nsecret",
        token() + "\0",
        token() + "=",
    ],
    # A token is another one in each process.
    ids=["nothing", "one", "two", "four", "accent", "header", "line", "nul", "padding"],
)
def test_what_is_no_token_is_refused_unseen(bad: str) -> None:
    refused_unseen(bad, "it is no JSON Web Token")


def test_what_only_looks_like_a_token_is_refused_unseen() -> None:
    refused_unseen("secret.secret.secret", "it is malformed")


def refused_unseen(bad: str, fault: str) -> None:
    with pytest.raises(SigningError) as caught:
        read_token(bad)
    message = str(caught.value)
    assert message == f"the identity token cannot be used: {fault}; get a new one"
    assert caught.value.__cause__ is None


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on nobody's machine in particular."""
    for name in (*PLACES, "SIGSTORE_ID_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[SigstoreServer]:
    with SigstoreServer() as server:
        yield server


@pytest.fixture
def github(
    nowhere: None, server: SigstoreServer, monkeypatch: pytest.MonkeyPatch
) -> SigstoreServer:
    """Run as a job of GitHub Actions, which this server gives a token for the asking."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", SECRET)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{server.url}/job?api-version=2.0")

    def give(request: Request) -> Response:
        assert request.headers["authorization"] == f"bearer {SECRET}"
        return Response.json({"value": token(aud=request.query["audience"])})

    server.routes["GET", "/job"] = give
    return server


@pytest.mark.usefixtures("nowhere")
def test_most_places_have_no_token() -> None:
    product = Path("/sys/class/dmi/id/product_name")
    if product.exists() and product.read_text().startswith("Google"):
        pytest.skip("this is a machine of Google Cloud, which may have a token")
    assert ambient_token() is None


def test_a_job_has_its_token(github: SigstoreServer) -> None:
    found = ambient_token()
    assert found is not None
    assert read_token(found).identity == "somebody-secret"


def test_a_given_token_goes_before_that_of_the_job(
    github: SigstoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ambient_token() not in (None, "given")
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", "given")
    assert ambient_token() == "given"


@pytest.mark.parametrize("given", ["", "\n"])
def test_an_empty_token_is_none_of_the_job(
    github: SigstoreServer, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """The job's would sign in a name that nobody meant."""
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", given)
    with pytest.raises(SigningError, match="SIGSTORE_ID_TOKEN is set but empty"):
        ambient_token()


def job_failure() -> str:
    with pytest.raises(SigningError) as caught:
        ambient_token()
    message = str(caught.value)
    assert message.count("(") == message.count(")")
    assert message.startswith("the identity token of this job cannot be had (")
    assert message.endswith(
        "allow the job to get one (on GitHub by the permission 'id-token: write'), or set "
        "SIGSTORE_ID_TOKEN"
    )
    assert "\n" not in message
    assert "secret" not in message
    assert caught.value.__cause__ is None
    return message


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (Response.of(SECRET.encode(), 403), "GitHub: OIDC token request failed (code=403)"),
        (Response.of(SECRET.encode()), "GitHub: malformed or incomplete JSON"),
        (Response.json({"value": 5}), "GitHub: malformed or incomplete JSON"),
        (Response.json({"value": SECRET}), "Malformed token"),
        (Response.json({"value": token(aud="x")}), "Token audience claim mismatch"),
        (Response.of(b"\xff", 500), "'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_a_job_that_gets_no_token_hears_why(
    github: SigstoreServer, response: Response, why: str
) -> None:
    github.routes["GET", "/job"] = lambda _: response
    assert why in job_failure()


def test_a_job_may_lack_the_permission(
    github: SigstoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    assert "missing or insufficient OIDC token permissions" in job_failure()


def test_a_job_does_not_wait_without_end(
    github: SigstoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity_tokens, "SERVICE_SECONDS", 0.3)

    def trickle(request: Request) -> Response:
        return Response(200, {}, [b" " * 1000], 1000, bytes_per_second=100)

    github.routes["GET", "/job"] = trickle
    assert "(it did not come within 0.3 seconds)" in job_failure()


def instance(server: SigstoreServer, **changes: object) -> SigstoreInstance:
    config = server.signing_config() | changes
    return SigstoreInstance.from_files(encode(server.sigstore.trusted_root()), encode(config))


@pytest.fixture
def provider(server: SigstoreServer) -> Iterator[SigstoreServer]:
    """A provider of identities at which everybody logs in at once."""

    def log_in(request: Request) -> Response:
        back = urlencode({"code": "the code", "state": request.query["state"]})
        return Response.of(b"", 302, {"Location": f"{request.query['redirect_uri']}?{back}"})

    def exchange(request: Request) -> Response:
        form = parse_qs(request.read().decode())
        assert form["code"] == ["the code"]
        return Response.json({"access_token": server.identity_token("me@example.com")})

    server.routes |= {("GET", "/auth"): log_in, ("POST", "/token"): exchange}
    gc.freeze()  # What is there by now need not be looked through.
    yield server
    gc.collect()
    gc.unfreeze()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A browser at hand, and what it was made to open."""
    opened: list[str] = []

    class Browser(webbrowser.BaseBrowser):
        def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:  # noqa: ARG002
            opened.append(url)
            with urllib.request.urlopen(url) as page:
                return bool(page.status == 200)

    monkeypatch.setattr(webbrowser, "_tryorder", ["test"])
    monkeypatch.setattr(webbrowser, "_browsers", {"test": [None, Browser()]})
    return opened


def test_one_logs_in_with_a_browser(
    provider: SigstoreServer, opened: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    found = interactive_token(instance(provider))
    assert read_token(found).identity == "me@example.com"
    assert len(opened) == 1
    assert_hidden(found, caplog.text)


def test_one_logs_in_elsewhere(
    provider: SigstoreServer,
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("the code\n"))
    monkeypatch.setattr(webbrowser, "_tryorder", [])
    found = interactive_token(instance(provider))
    assert read_token(found).identity == "me@example.com"
    assert opened == []
    shown = capsys.readouterr()
    assert f"{provider.url}/auth?" in shown.err
    assert_hidden(found, shown.out + shown.err)


def login_failure(provider: SigstoreServer, monkeypatch: pytest.MonkeyPatch, typed: str) -> str:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    monkeypatch.setattr(webbrowser, "_tryorder", [])
    with pytest.raises(SigningError) as caught:
        interactive_token(instance(provider))
    message = str(caught.value)
    assert message.startswith(f"the login with {provider.url} failed (")
    assert message.endswith("); try again, or give an identity token")
    assert "\n" not in message
    assert "secret" not in message
    assert caught.value.__cause__ is None
    return message


@pytest.mark.parametrize(
    ("path", "response", "why"),
    [
        ("/.well-known/openid-configuration", Response.of(b"", 503), "503 Server Error"),
        ("/.well-known/openid-configuration", Response.of(b"{}"), "invalid configuration"),
        ("/token", Response.json({"error": "no"}, 400), "Token request failed with 400"),
        ("/token", Response.json({"access_token": "secret"}), "Identity token is malformed"),
        ("/token", Response.of(b"<html>"), "Expecting value"),
    ],
)
def test_a_failed_login_says_why(
    provider: SigstoreServer,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    response: Response,
    why: str,
) -> None:
    provider.routes |= {(method, path): lambda _: response for method in ("GET", "POST")}
    assert why in login_failure(provider, monkeypatch, "the code\n")


def test_nobody_at_the_keyboard(provider: SigstoreServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "EOF" in login_failure(provider, monkeypatch, "")


def test_an_instance_may_have_nobody_to_log_in_with(provider: SigstoreServer) -> None:
    with pytest.raises(ConfigError, match="'private' names no provider of identities"):
        interactive_token(instance(provider, oidcUrls=[]))
