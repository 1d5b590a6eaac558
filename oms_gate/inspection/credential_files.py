"""Files that programs keep credentials in, by their name, where they hold any."""

from __future__ import annotations

import re

from oms_gate.inspection.findings import Sighting
from oms_gate.reason_codes import ReasonCode

# What stands for a value that is put in later.
_VALUE = rb"(?![\"']?(?:\$|<|\{|%|x{3}|\*{3}|(?i:your|change|example|none|null|todo)))"
_ANYTHING = rb"\S"
# No pattern looks at a place more than once: neither at spaces that `\s` and a line's beginning
# could both take, nor at the rest of a file for each thing that might begin in it.
_LINE = rb"(?m)^[^\S\n]*+"
_IS = rb"\s*+[:=]\s*+"

# The end of a path, in lower case; what is in the file if it holds credentials; what it is.
_FILES: tuple[tuple[re.Pattern[str], re.Pattern[bytes], str], ...] = tuple(
    (re.compile(rf"(?:\A|(?<=/))(?:{path})\Z", re.DOTALL), re.compile(content), what)
    for path, content, what in (
        (
            (
                r"(?=[^/]*+\Z)(?!(?:example|sample|template|dist)\.)"
                r"[^/]*\.env(?:rc|\.(?!example|sample|template|dist)[^/]*)?"
            ),
            _LINE + rb"(?:export[ \t]++)?+\w++[ \t]*+=[ \t]*+(?![\"']{2}\s)" + _VALUE + rb"[^\s#]",
            "values of an environment (.env)",
        ),
        (r"[._]netrc", rb"\bpassword\s++" + _VALUE + rb"\S", "a password (.netrc)"),
        (
            r"\.git-credentials",
            _LINE + rb"[A-Za-z+]++://[^\s:@]*+:[^\s@]++@",
            "passwords of Git",
        ),
        (
            r"\.aws/credentials",
            _LINE + rb"aws_secret_access_key" + _IS + _VALUE + rb"\S",
            "AWS credentials",
        ),
        (r"\.pypirc", _LINE + rb"password" + _IS + _VALUE + rb"\S", "a password (.pypirc)"),
        (
            r"\.npmrc",
            rb"_(?:authToken|auth|password)" + _IS + _VALUE + rb"\S",
            "a token (.npmrc)",
        ),
        (
            r"\.pgpass",
            _LINE + rb"(?!#)(?:[^:\n]*+:){4}+" + _VALUE + rb"\S",
            "passwords of PostgreSQL",
        ),
        (r"id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?", _ANYTHING, "a private key of SSH"),
        (
            r"\.kube/config|kubeconfig|[^/]*\.kubeconfig",
            _LINE + rb"-?+[^\S\n]*+(?:client-key-data|token|password)" + _IS + _VALUE + rb"\S",
            "credentials of a Kubernetes cluster",
        ),
        (
            r"\.docker/config\.json|\.dockercfg|\.dockerconfigjson",
            rb"\"(?:auth|identitytoken|password)\"" + _IS + rb"\"" + _VALUE + rb"[^\"]",
            "logins of container registries",
        ),
        (r"huggingface/token", _ANYTHING, "a Hugging Face token"),
        (
            r"huggingface/stored_tokens",
            _LINE + rb"hf_token" + _IS + _VALUE + rb"\S",
            "Hugging Face tokens",
        ),
        (r"kaggle\.json", rb"\"key\"" + _IS + rb"\"" + _VALUE + rb"[^\"]", "a Kaggle key"),
        (
            r"[^/]*\.(?:p12|pfx|jks|jceks|bcfks|keystore|kdbx)",
            rb"(?s).",
            "a key store, to go by its name",
        ),
    )
)


def credential_file(path: str, head: bytes) -> Sighting | None:
    """The first credential in a file that programs keep them in.

    head: the file's first bytes.
    """
    lower = path.lower()
    for name, content, what in _FILES:
        if name.search(lower) and (found := content.search(head)):
            return Sighting(ReasonCode.PUBLISH_SECRET, what, found.end() - 1)
    return None
