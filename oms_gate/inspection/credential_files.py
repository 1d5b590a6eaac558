"""Files that programs keep credentials in, by their name, where they hold any."""

from __future__ import annotations

import re

from oms_gate.inspection.findings import Sighting
from oms_gate.verdict import ReasonCode

# What stands for a value that is put in later.
_VALUE = rb"(?![\"']?(?:\$|<|\{|%|x{3}|\*{3}|(?i:your|change|example|none|null|todo)))"
_ANYTHING = re.compile(rb"\S")

# The end of a path, in lower case; what is in the file if it holds credentials; what it is.
_FILES: tuple[tuple[re.Pattern[str], re.Pattern[bytes], str], ...] = tuple(
    (re.compile(rf"(?:.*/)?(?:{path})", re.DOTALL), re.compile(content), what)
    for path, content, what in (
        (
            r"\.env(?:\.(?!example|sample|template|dist)[^/]*)?",
            rb"(?m)^[ \t]*(?:export[ \t]+)?\w+[ \t]*=[ \t]*(?![\"']{2}\s)" + _VALUE + rb"[^\s#]",
            "values of an environment (.env)",
        ),
        (r"[._]netrc", rb"\bpassword\s+" + _VALUE + rb"\S", "a password (.netrc)"),
        (r"\.git-credentials", rb"://[^\s:@]*:[^\s@]+@", "passwords of Git"),
        (
            r"\.aws/credentials",
            rb"(?m)^\s*aws_secret_access_key\s*=\s*" + _VALUE + rb"\S",
            "AWS credentials",
        ),
        (r"\.pypirc", rb"(?m)^\s*password\s*[:=]\s*" + _VALUE + rb"\S", "a password (.pypirc)"),
        (
            r"\.npmrc",
            rb"(?m)_(?:authToken|auth|password)\s*=\s*" + _VALUE + rb"\S",
            "a token (.npmrc)",
        ),
        (r"\.pgpass", rb"(?m)^[^#\s]*:[^:\s]+$", "passwords of PostgreSQL"),
        (r"id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?", _ANYTHING.pattern, "a private key of SSH"),
        (
            r"\.kube/config|kubeconfig|.*\.kubeconfig",
            rb"(?m)^\s*-?\s*(?:client-key-data|token|password)\s*:\s*" + _VALUE + rb"\S",
            "credentials of a Kubernetes cluster",
        ),
        (
            r"\.docker/config\.json|\.dockercfg|\.dockerconfigjson",
            rb"\"(?:auth|identitytoken|password)\"\s*:\s*\"" + _VALUE + rb"[^\"]",
            "logins of container registries",
        ),
        (r"huggingface/token", _ANYTHING.pattern, "a Hugging Face token"),
        (
            r"huggingface/stored_tokens",
            rb"(?m)^\s*hf_token\s*=\s*" + _VALUE + rb"\S",
            "Hugging Face tokens",
        ),
        (r"kaggle\.json", rb"\"key\"\s*:\s*\"" + _VALUE + rb"[^\"]", "a Kaggle key"),
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
        if name.fullmatch(lower) and (found := content.search(head)):
            return Sighting(ReasonCode.PUBLISH_SECRET, what, found.end() - 1)
    return None
