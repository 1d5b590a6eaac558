"""What the default policy must decide: models, look-alike signers and globs, with their rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from oms_gate.policy.input import InputHistory, InputRelease
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Assurance, Signer
from tests.policy.samples import (
    ISSUER,
    MEMORY,
    NOW,
    certificate,
    document,
    key,
    signed_at,
    sigstore,
)

UNKNOWN, WRONG = "publisher.unknown", "publisher.wrong-signer"
EXPIRED, CHANGED = "publisher.expired-signer", "history.signer-changed"
ROLLBACK, ERROR = "history.rollback", "policy.error"
LOG, TIME = ReasonCode.REQUIREMENT_LOG.value, ReasonCode.REQUIREMENT_TIME.value
AGE, HASH_TYPE = ReasonCode.REQUIREMENT_AGE.value, ReasonCode.REQUIREMENT_HASH_TYPE.value
FORMAT, CLAIMS = ReasonCode.REQUIREMENT_FORMAT.value, ReasonCode.REQUIREMENT_CLAIMS.value
MISSING, UNSIGNED, IGNORED = "coverage.missing", "coverage.unsigned", "coverage.ignored"

BY_SIGSTORE = {"method": "sigstore", "identity": "release@example.com", "issuer": ISSUER}
BY_KEY = {"method": "key", "key": "release"}
BY_CERTIFICATE = {"method": "certificate", "root": "ca", "identity": "CN=Release,O=Example"}


@dataclass(frozen=True)
class Case:
    """One input and what must be decided on it; nothing to deny means that it is allowed."""

    name: str
    document: dict[str, Any]
    deny: set[str] = field(default_factory=set)
    warn: set[str] = field(default_factory=set)
    require: Assurance | None = None
    annotations: dict[str, str] | None = None
    says: tuple[str, ...] = ()


RULES: list[dict[str, Any]] = [
    {"name": "Example", "models": ["example/*"], "signers": [BY_SIGSTORE]},
    {"name": "Many", "models": ["many/*"], "signers": [BY_SIGSTORE, BY_KEY, BY_CERTIFICATE]},
    {
        "name": "Loose",
        "models": ["loose/*"],
        "signers": [BY_KEY],
        "allow_unsigned": ["assets/**", "*.log"],
        "allow_ignored": ["build/*.json", ".github/hooks/*"],
        "assurance": "declared",
    },
    {"name": "Strict", "models": ["loose/strict"], "signers": [BY_KEY], "assurance": "bytes"},
    {
        "name": "Other",
        "models": ["loose/strict"],
        "signers": [BY_SIGSTORE],
        "assurance": "declared",
    },
    {"name": "Least", "models": ["least/*"], "signers": [BY_KEY], "assurance": "signature"},
    {
        "name": "Payload",
        "models": ["payload/*", "hf://datasets/payload/*", "hf://spaces/payload/*"],
        "signers": [BY_SIGSTORE],
    },
    {
        "name": "Veteran",
        "models": ["veteran/*"],
        "signers": [
            BY_CERTIFICATE | {"allow_expired": True},
            BY_CERTIFICATE | {"identity": "CN=Current", "allow_expired": False},
        ],
    },
    {
        "name": "Required",
        "models": ["required/*"],
        "signers": [
            BY_SIGSTORE,
            BY_KEY,
            BY_CERTIFICATE | {"identity": "CN=Current", "allow_expired": True},
        ],
        "allow_unsigned": ["assets/*"],
    },
    {
        "name": "Pickling",
        "models": ["required/pickling"],
        "signers": [BY_SIGSTORE],
        "allow_formats": ["pickle"],
    },
    {"name": "First", "models": ["first/*"], "signers": [{"method": "first-use"}]},
    {
        "name": "Excepted",
        "models": ["excepted/*"],
        "signers": [BY_SIGSTORE, BY_CERTIFICATE],
    },
    {"name": "Bucket", "models": ["s3://bucket/models"], "signers": [BY_KEY]},
    {"name": "Folder", "models": ["/srv/models/*"], "signers": [BY_KEY]},
]


FORMATS = ["pickle", "archive", "code", "keras", "tensorflow"]


def required(name: str, where: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    about = {"models": [f"required/{name}"], **(where or {})}
    return {"name": name, "where": about, **members}


REQUIREMENTS: list[dict[str, Any]] = [
    required("loaded", {"operations": ["load", "pull"]}, transparency_log=True),
    required("namespaced", {"namespaces": ["prod-*", "live"]}, transparency_log=True),
    required("labelled", {"namespace_labels": {"tier": "1"}}, transparency_log=True),
    required("accounted", {"service_accounts": ["train-*"]}, transparency_log=True),
    required("hash", hash_types=["blake2b", "blake3"]),
    required("young", max_age_days=7),
    required("time", proven_time=True),
    required("log", transparency_log=True),
    required("unexpired", unexpired=True),
    required(
        "everything",
        hash_types=["blake2b"],
        proven_time=True,
        transparency_log=True,
        max_age_days=1,
        unexpired=True,
    ),
    required("warned", effect="warn", transparency_log=True),
    required("bytes", assurance="bytes"),
    required("by-operation", {"operations": ["pull"]}, assurance="bytes"),
    required("by-operation", {"operations": ["admit"]}, assurance="declared"),
    required("safe", restricted_formats=FORMATS),
    required("pickling", restricted_formats=FORMATS),
    required(
        "claims",
        claims={"repository": ["example/*"], "ref": ["refs/heads/main", "refs/tags/*"]},
    ),
    required("kinds", signed_kinds=["document"], ignored_kinds=["image"]),
    required("same", same_signer=True),
]

EXCEPTIONS: list[dict[str, Any]] = [
    {
        "reason": "a move",
        "owner": "ann",
        "expires": date(2026, 12, 31),
        "models": ["excepted/model"],
        "codes": ["coverage.unsigned"],
        "paths": ["old/**"],
    },
    {
        "reason": "a move",
        "owner": "bob",
        "expires": date(2026, 8, 31),
        "models": ["excepted/ended"],
        "codes": ["coverage.missing"],
    },
    {
        "reason": "a move",
        "owner": "cyd",
        "expires": date(2026, 9, 1),
        "models": ["excepted/today"],
        "codes": ["coverage.missing", "publisher.expired-signer", "history.rollback"],
    },
]


def outlived(subject: str) -> Signer:
    return certificate(subject, subject, expired_at=datetime(2026, 1, 2, tzinfo=UTC))


def unsigned(*paths: str, name: str = "hf://example/model") -> dict[str, Any]:
    return document(name, key() if "loose" in name else None, unsigned=tuple((p, 1) for p in paths))


def ignored(*paths: str, scope: str = "signer", name: str = "hf://example/model") -> dict[str, Any]:
    files = tuple((path, 1, scope) for path in paths)
    return document(name, key() if "loose" in name else None, ignored=files)


def changed(**members: Any) -> dict[str, Any]:
    return {**document(), **members}


def without(*path: str) -> dict[str, Any]:
    whole = document()
    inner = whole
    for member in path[:-1]:
        inner = inner[member]
    del inner[path[-1]]
    return whole


def covering(members: dict[str, Any]) -> dict[str, Any]:
    whole = document()
    whole["coverage"] |= members
    return whole


def files(how: str, path: str, *more: tuple[str, int]) -> dict[str, Any]:
    return {how: ((path, 1), *more)}


def pinned(*signers: Signer, is_signer: bool = False) -> InputHistory:
    return MEMORY.model_copy(update={"pinned": signers, "signer_pinned": is_signer})


def rolled_back() -> InputHistory:
    newer = InputRelease(revision="9", root_digest="34", signed_at=None, seen_at=NOW.timestamp())
    known = {"newer": newer, "first_seen": NOW.timestamp()}
    return pinned(sigstore(), is_signer=True).model_copy(update=known)


SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
BLAKE = {"hash_type": "blake2b"}
LOAD = {"operation": "load"}
WORKLOAD = {"repository": "example/model", "ref": "refs/heads/main"}
# A requirement by its name, what the caller says of the place, and whether it applies there.
WHERE: list[tuple[str, dict[str, Any], bool]] = [
    ("loaded", {"operation": "load"}, True),
    ("loaded", {"operation": "pull"}, True),
    ("loaded", {"operation": "verify"}, False),
    ("loaded", {}, False),
    ("namespaced", {"operation": "admit", "namespace": "prod-eu"}, True),
    ("namespaced", {"operation": "admit", "namespace": "preprod-eu"}, False),
    ("namespaced", {"operation": "admit", "namespace": "prod"}, False),
    ("namespaced", {"operation": "admit"}, True),
    ("namespaced", {"operation": "pull"}, False),
    ("labelled", {"operation": "admit", "namespace_labels": {"tier": "1", "x": "y"}}, True),
    ("labelled", {"operation": "admit", "namespace_labels": {"tier": "12"}}, False),
    ("labelled", {"operation": "admit", "namespace_labels": {}}, False),
    ("labelled", {"operation": "admit"}, True),
    ("labelled", {"operation": "verify"}, False),
    ("accounted", {"operation": "admit", "service_account": "train-1"}, True),
    ("accounted", {"operation": "admit", "service_account": "default"}, False),
    ("accounted", {"operation": "admit"}, True),
    ("accounted", {"operation": "load"}, False),
]

ODD_COVERAGE: list[dict[str, Any]] = [
    {"unsigned": [{}]},
    {"ignored": [{}]},
    {"unsigned": [None]},
    {"unsigned": [{"path": "x", "size": 1, "kind": "new"}]},
    {"unsigned": [{"path": "x", "size": "1", "kind": "image"}]},
    {"ignored": [{"path": "x", "size": 1, "kind": "image", "scope": "new"}]},
    {"ignored": [{"path": "x", "size": 1, "kind": "image"}]},
    {"missing": {}},
    {"unsigned": {}},
    {"ignored": {}},
    {"missing": [7]},
    {"missing": 0},
    {"signed": "3"},
    {"signed": 4},
    {"signed_files": []},
    {"signed_files": {"weights": {"a": 1, "b": 2, "c": 3}}},
    {"signed_files": {"weights": 3}},
    {"signed_files": {"new": ["a", "b", "c"]}},
    {"signed_files": {"weights": ["a", "b", 3]}},
]

HOSTILE = 'a\u202e"{x}\\Q\\E.*\n\x00\ud800😀.py'

CASES = [
    Case("the publisher's model", document(), annotations={"publisher": "Example"}),
    Case("a file below it", document("hf://example/model/onnx/model.onnx")),
    Case("each of the signers: key", document("hf://many/model", key())),
    Case(
        "each of the signers: certificate",
        document("hf://many/m", certificate("CN=Release,O=Example", "CN=Release,O=Example")),
    ),
    Case(
        "an expired certificate where that is allowed",
        document("hf://veteran/model", outlived("CN=Release,O=Example")),
        annotations={"publisher": "Veteran"},
    ),
    Case(
        "an expired certificate of another signer",
        document("hf://veteran/model", outlived("CN=Current")),
        {EXPIRED},
        says=("CN=Current", "2026-01-02", "allow_expired", "(Veteran)"),
    ),
    Case(
        "that signer in time",
        document("hf://veteran/model", certificate("CN=Current", "CN=Current")),
    ),
    Case(
        "an expired certificate where nothing is said",
        document("hf://many/model", outlived("CN=Release,O=Example")),
        {EXPIRED},
    ),
    Case(
        "an expired certificate of a stranger",
        document("hf://veteran/model", outlived("CN=Mallory")),
        {WRONG},
    ),
    Case("a bucket", document("s3://bucket/models/x", key())),
    Case("a folder", document("file:///srv/models/x", key())),
    # Row 1: IBM's signature under somebody else's namespace.
    Case(
        "no rule",
        document("hf://stranger/model"),
        {UNKNOWN},
        says=("hf://stranger/model", "release@example.com", "gate.yaml"),
    ),
    Case("a namespace that begins alike", document("hf://example-evil/model"), {UNKNOWN}),
    Case("a namespace inside another", document("hf://evil/example/model"), {UNKNOWN}),
    Case("the namespace in capitals", document("hf://Example/model"), {UNKNOWN}),
    Case("the namespace elsewhere", document("s3://example/model"), {UNKNOWN}),
    Case("a dataset of that name", document("hf://datasets/example/model"), {UNKNOWN}),
    Case("a bucket that begins alike", document("s3://bucket/models-evil/x", key()), {UNKNOWN}),
    Case(
        "another signer",
        document("hf://many/model", sigstore("mallory@example.com")),
        {WRONG},
        says=(
            '"mallory@example.com"',
            f'"release@example.com" of the issuer "{ISSUER}"',
            'the key "release"',
            '"CN=Release,O=Example" (certificate, root "ca")',
        ),
    ),
    Case("another issuer", document(signer=sigstore(issuer="https://evil.example")), {WRONG}),
    Case("another Sigstore", document(signer=sigstore(root="staging")), {WRONG}),
    Case("another key", document("hf://loose/m", key("other")), {WRONG}),
    Case(
        "another authority",
        document("hf://many/m", certificate("CN=Release,O=Example", "CN=Release,O=Example", "x")),
        {WRONG},
    ),
    # Coverage.
    Case("a missing file", document(missing=("a.bin",)), {MISSING}, says=("a.bin",)),
    Case("nothing signed", document(signed=()), {MISSING}),
    Case("unsigned documents and pictures", unsigned("b.md", "LICENSE", "c.png", ".gitignore")),
    Case("unsigned weights", unsigned("b.md", "extra.safetensors"), {UNSIGNED}),
    Case("unsigned code", unsigned("modeling_x.py"), {UNSIGNED}, says=("modeling_x.py",)),
    Case("an unsigned pickle", unsigned("pytorch_model.bin"), {UNSIGNED}),
    Case("an unsigned unknown file", unsigned("data.xyz"), {UNSIGNED}),
    Case("an unsigned hostile name", unsigned(HOSTILE), {UNSIGNED}),
    Case("allowed unsigned files", unsigned("assets/a/b.py", "x.log", name="hf://loose/m")),
    Case("an unsigned file too far", unsigned("b/assets/a.py", name="hf://loose/m"), {UNSIGNED}),
    Case("an unsigned file too deep", unsigned("a.log/b.py", name="hf://loose/m"), {UNSIGNED}),
    Case("an allowed end of line", unsigned("x.log\n", name="hf://loose/m"), {UNSIGNED}),
    Case("an unsigned file without a name", unsigned(""), {UNSIGNED}),
    Case("another rule's allowance", unsigned("assets/b.py"), {UNSIGNED}),
    Case(
        "ignored by the format",
        ignored(".gitattributes", ".git/HEAD", ".github/a.md", ".github/b.png", scope="default"),
    ),
    Case("workflows", ignored(".github/workflows/x.yml", scope="default"), warn={IGNORED}),
    Case(
        "instructions to agents where the format signs nothing",
        ignored(".github/skills/x/SKILL.md", ".github/copilot-instructions.md", scope="default"),
        warn={IGNORED},
    ),
    *(
        Case(
            f"{path} where the format signs nothing",
            ignored(path, scope="default"),
            {IGNORED},
            says=(path, "the format signs nothing", "allow_ignored"),
        )
        for path in (".github/pytorch_model.bin", ".github/x.py", ".git/x.gguf", ".github/x.zip")
    ),
    Case(
        "allowed where the format signs nothing",
        ignored(".github/hooks/x.sh", name="hf://loose/m", scope="default"),
    ),
    # What is an ornament of a model is the payload of a dataset or of a Space.
    *(
        Case(
            f"{what} of {name}",
            document(f"hf://{name}", unsigned=((what, 1),)),
            {UNSIGNED} if name != "payload/x" else set(),
            says=(what,) if name != "payload/x" else (),
        )
        for what in ("README.md", "train/a.png")
        for name in ("datasets/payload/x", "spaces/payload/x", "payload/x")
    ),
    # Whose instructions send an agent to further documents.
    *(
        Case(
            f"{path} beside {skill}",
            document(signed=((skill, 1),), unsigned=((path, 1), ("a.png", 1))),
            {UNSIGNED} if read else set(),
            says=(path,) if read else (),
        )
        for skill, path, read in (
            ("SKILL.md", "README.md", True),
            ("skills/a/SKILL.md", "skills/A/references/more.md", True),
            ("skills/a/SKILL.md", "skills/README.md", False),
            ("skills/a/README.md", "skills/a/more.md", False),
        )
    ),
    Case("a document beside an unsigned skill", unsigned("a/skill.md", "a/x.md"), {UNSIGNED}),
    Case(
        "a hidden text of a skill that nobody knows",
        document(signed=(("a/SKILL.md", 1),), ignored=(("a/b/x.txt", 1, "signer"),)),
        {IGNORED},
        says=("a/b/x.txt",),
    ),
    Case(
        "a document beside a hidden skill",
        document(
            "hf://loose/m",
            key("release"),
            unsigned=(("assets/x.md", 1),),
            ignored=(("build/skill.md", 1, "signer"), ("build/y.md", 1, "signer")),
        ),
        {IGNORED},
        says=("build/y.md",),
    ),
    Case(
        "many skills, and many documents elsewhere",
        document(
            signed=tuple((f"skills/{n}/SKILL.md", 1) for n in range(1000)),
            unsigned=tuple((f"docs/{n}/x.md", 1) for n in range(10_000)),
        ),
    ),
    Case(
        "a hidden document of a skill",
        document(signed=(("SKILL.md", 1),), ignored=(("x.md", 1, "signer"),)),
        {IGNORED},
    ),
    Case(
        "a hidden README of a dataset",
        ignored("README.md", name="hf://datasets/payload/x"),
        {IGNORED},
    ),
    Case(
        "what nobody loads from a dataset",
        document(
            "hf://datasets/payload/x",
            unsigned=((".gitattributes", 1), ("old.sig", 1)),
            ignored=((".cache/huggingface/x.lock", 1, "cache"), ("model.sig", 1, "signature")),
        ),
    ),
    Case(
        "a local copy of a download",
        document(f"file:///c/models--example--model/snapshots/{'a' * 40}"),
        {UNKNOWN},
        says=("(a rule for hf://... does not cover its local copy;",),
    ),
    Case("ignored bookkeeping", ignored(".cache/huggingface/x.lock", scope="cache")),
    # Row 6: the signer's ignore_paths hides what a loader reads.
    Case("hidden code", ignored("modeling_x.py"), {IGNORED}, says=("modeling_x.py",)),
    Case("hidden weights", ignored("x.gguf"), {IGNORED}),
    Case("hidden configuration", ignored("config.json"), {IGNORED}),
    Case("hidden documents", ignored("x.md")),
    Case("a hidden unknown file", ignored("x.xyz"), warn={IGNORED}),
    Case("allowed hidden files", ignored("build/x.json", name="hf://loose/m")),
    Case("hidden files too far", ignored("build/a/x.json", name="hf://loose/m"), {IGNORED}),
    Case("hidden, but allowed unsigned", ignored("assets/x.py", name="hf://loose/m"), {IGNORED}),
    Case("unsigned, but allowed hidden", unsigned("build/x.json", name="hf://loose/m"), {UNSIGNED}),
    Case(
        "everything at once",
        document(
            "hf://stranger/model",
            missing=("a.bin",),
            unsigned=(("b.py", 1),),
            ignored=(("c.py", 1, "signer"), ("d.xyz", 1, "signer")),
        ),
        {UNKNOWN, MISSING, UNSIGNED, IGNORED},
        {IGNORED},
    ),
    # What is asked of the gate, and what is noted.
    Case("declared", document("hf://loose/m", key()), require=Assurance.DECLARED),
    Case(
        "the strictest",
        document("hf://loose/strict", key()),
        require=Assurance.BYTES,
        annotations={"publisher": "Loose, Strict"},
    ),
    Case(
        "only of the rules that name the signer",
        document("hf://loose/strict/x", sigstore()),
        require=Assurance.DECLARED,
        annotations={"publisher": "Other"},
    ),
    Case(
        "unsorted",
        document(sorted_names=False),
        annotations={"publisher": "Example", "unsorted": "true"},
    ),
    # Operations, namespaces, labels and service accounts: where a requirement applies.
    *(
        Case(
            f"{name}: {context}",
            document(f"hf://required/{name}", signature={"log_index": None}, context=dict(context)),
            {LOG} if applies else set(),
        )
        for name, context, applies in WHERE
    ),
    # Requirements, each with a look-alike.
    Case("a hash that is allowed", document("hf://required/hash", signature=BLAKE)),
    Case(
        "a hash that is not",
        document("hf://required/hash"),
        {HASH_TYPE},
        says=("sha256", "blake2b or blake3", "--hash blake2b"),
    ),
    *(
        Case(
            f"a signature that is proven {what}",
            document("hf://required/young", signature={"times": signed_at(*ago)}),
            {code} if code else set(),
            says=words,
        )
        for what, ago, code, words in (
            ("now", [HOUR * 0], None, ()),
            ("a week ago", [7 * DAY], None, ()),
            ("a week and a second ago", [7 * DAY + SECOND], AGE, ("7 days", "within 7 days")),
            ("long ago, and again now", [30 * DAY, HOUR], AGE, ("30 days",)),
            ("never", [], AGE, ("--timestamp-url",)),
            ("five minutes from now", [-300 * SECOND], None, ()),
            ("tomorrow", [-DAY], AGE, ("clock",)),
            ("tomorrow, and an hour ago", [-DAY, HOUR], None, ()),
            ("tomorrow, and long ago", [-DAY, 8 * DAY], AGE, ()),
        )
    ),
    Case("a proven time", document("hf://required/time")),
    Case("no proven time", document("hf://required/time", signature={"times": ()}), {TIME}),
    Case("a log entry", document("hf://required/log", signature={"log_index": 0})),
    Case("no log entry", document("hf://required/log", signature={"log_index": None}), {LOG}),
    Case(
        "a certificate in time",
        document("hf://required/unexpired", certificate("CN=Current", "CN=Current")),
    ),
    Case(
        "a certificate that a rule lets expire, and a requirement does not",
        document("hf://required/unexpired", outlived("CN=Current")),
        {EXPIRED},
        says=('"unexpired"',),
    ),
    Case("everything of the strictest", document("hf://required/everything", signature=BLAKE)),
    Case(
        "nothing of the strictest",
        document("hf://required/everything", signature={"log_index": None, "times": ()}),
        {HASH_TYPE, TIME, AGE, LOG},
    ),
    Case(
        "a requirement that only warns",
        document("hf://required/warned", signature={"log_index": None}),
        warn={LOG},
    ),
    Case("a required assurance", document("hf://required/bytes"), require=Assurance.BYTES),
    Case(
        "an assurance for pulling",
        document("hf://required/by-operation", context={"operation": "pull"}),
        require=Assurance.BYTES,
    ),
    Case(
        "an assurance for pods",
        document("hf://required/by-operation", context={"operation": "admit"}),
        require=Assurance.DECLARED,
    ),
    # Formats that can run code.
    *(
        Case(
            f"{path} {'signed' if how == 'signed' else how} by {who}",
            document(f"hf://required/{who}", **files(how, path, *extra)),
            codes,
            warned,
            says=(path,) if codes else (),
        )
        for who, how, path, extra, codes, warned in (
            ("safe", "signed", "a.safetensors", (), set(), set()),
            ("safe", "signed", "a.bin", (), {FORMAT}, set()),
            ("safe", "signed", "a.PKL", (), {FORMAT}, set()),
            ("safe", "signed", "x.zip", (), {FORMAT}, set()),
            ("safe", "signed", "modeling_x.py", (("config.json", 1),), {FORMAT}, set()),
            ("safe", "signed", "a.keras", (), {FORMAT}, set()),
            ("safe", "signed", "d/a.H5", (), {FORMAT}, set()),
            ("safe", "signed", "saved_model.pb", (), {FORMAT}, set()),
            ("safe", "signed", "a.keras.onnx", (), set(), set()),
            ("safe", "unsigned", "assets/a.bin", (), {FORMAT}, set()),
            ("pickling", "signed", "a.bin", (), set(), set()),
            ("pickling", "signed", "a.py", (), {FORMAT}, set()),
            ("pickling", "signed", "a.keras", (), {FORMAT}, set()),
        )
    ),
    # Claims of a workload.
    *(
        Case(
            f"a workload that claims {claims}",
            document("hf://required/claims", sigstore(claims=claims)),
            {CLAIMS} if bad else set(),
            says=(bad,) if bad else (),
        )
        for claims, bad in (
            ({**WORKLOAD}, ""),
            ({**WORKLOAD, "ref": "refs/tags/v1"}, ""),
            ({**WORKLOAD, "more": "x"}, ""),
            ({**WORKLOAD, "ref": "refs/heads/evil"}, "ref is refs/heads/evil"),
            ({**WORKLOAD, "ref": "refs/tags/v1/x"}, "ref is refs/tags/v1/x"),
            ({**WORKLOAD, "repository": "evil/example"}, "repository is evil/example"),
            ({**WORKLOAD, "ref": "refs/heads/main\n"}, "ref is refs/heads/main\\n"),
            ({"ref": "refs/heads/main"}, "repository is not in the certificate"),
            ({}, "ref is not in the certificate"),
        )
    ),
    Case(
        "a key claims nothing",
        document("hf://required/claims", key()),
        {CLAIMS},
        says=("not in the certificate",),
    ),
    # Kinds of files.
    Case(
        "an unsigned document where documents must be signed",
        document("hf://required/kinds", unsigned=(("x.md", 1),)),
        {UNSIGNED},
        says=("x.md", '"kinds"'),
    ),
    Case(
        "a hidden document where only images may be hidden",
        document("hf://required/kinds", ignored=(("x.md", 1, "signer"), ("y.png", 1, "signer"))),
        {UNSIGNED, IGNORED},
        says=("x.md",),
    ),
    # Memory: the first signer, the pinned one, another; the newest release, an older one.
    Case(
        "the first signer",
        document("hf://first/model", history=MEMORY),
        annotations={"publisher": "First"},
    ),
    Case(
        "the first signer, who is pinned",
        document("hf://first/model", history=pinned(sigstore(), is_signer=True)),
    ),
    Case(
        "another than the first signer",
        document("hf://first/model", key("new"), history=pinned(sigstore())),
        {CHANGED},
        says=('the key "new"', "release@example.com", "oms-gate trust add"),
    ),
    Case(
        "a first signer without a memory", document("hf://first/model"), {WRONG}, says=("memory",)
    ),
    Case(
        "a first signer whose certificate has expired",
        document("hf://first/model", outlived("CN=A"), history=MEMORY),
        {WRONG},
    ),
    Case(
        "a pinned signer whose certificate has expired",
        document(
            "hf://first/model",
            outlived("CN=A"),
            history=pinned(certificate("CN=A"), is_signer=True),
        ),
        {EXPIRED},
    ),
    Case(
        "a named signer where somebody else is pinned",
        document(history=pinned(key("old"))),
    ),
    Case(
        "a named signer where the pinned one is required",
        document("hf://required/same", history=pinned(key("old"))),
        {CHANGED},
        says=('pinned to the key "old"', '"same"'),
    ),
    Case(
        "the pinned signer where that is required",
        document("hf://required/same", history=pinned(sigstore(), is_signer=True)),
    ),
    Case("the first one where that is required", document("hf://required/same", history=MEMORY)),
    Case("no memory where that is required", document("hf://required/same"), {CHANGED}),
    Case(
        "an older release",
        document(history=rolled_back()),
        {ROLLBACK},
        says=("root digest 34", "oms-gate trust add"),
    ),
    Case(
        "an older release of a stranger",
        document("hf://stranger/model", history=rolled_back()),
        {UNKNOWN, ROLLBACK},
    ),
    # Exceptions: by code, by path, by time, by model.
    Case(
        "an excepted file",
        document("hf://excepted/model", unsigned=(("old/a.py", 1),)),
        warn={UNSIGNED},
    ),
    Case(
        "a file beside the excepted ones",
        document("hf://excepted/model", unsigned=(("old/a.py", 1), ("new/a.py", 1))),
        {UNSIGNED},
        {UNSIGNED},
        says=("new/a.py",),
    ),
    Case(
        "a file among many excepted ones",
        document(
            "hf://excepted/model",
            unsigned=(*((f"old/{n}.py", 1) for n in range(100)), ("zzz/a.py", 1)),
        ),
        {UNSIGNED},
        {UNSIGNED},
        says=("zzz/a.py",),
    ),
    Case(
        "an excepted path of another code",
        document("hf://excepted/model", missing=("old/a.py",)),
        {MISSING},
    ),
    Case(
        "an exception of another model",
        document("hf://example/model", unsigned=(("old/a.py", 1),)),
        {UNSIGNED},
    ),
    Case(
        "an exception that has ended",
        document("hf://excepted/ended", missing=("a.bin",)),
        {MISSING},
        says=("the exception of bob for this ended at 2026-08-31: a move",),
    ),
    Case(
        "an exception on its last day",
        document("hf://excepted/today", missing=("a.bin",)),
        warn={MISSING},
    ),
    Case("no exception for nothing", document("hf://excepted/today", signed=()), {MISSING}),
    Case(
        "an expired certificate that is excepted",
        document("hf://excepted/today", outlived("CN=Release,O=Example")),
        warn={EXPIRED},
        annotations={"publisher": "Excepted"},
    ),
    Case(
        "an expired certificate of a stranger, excepted",
        document("hf://excepted/today", outlived("CN=Mallory")),
        {WRONG},
    ),
    Case(
        "an excepted rollback",
        document("hf://excepted/today", history=rolled_back()),
        warn={ROLLBACK},
    ),
    # Documents that the gate does not make.
    *(
        Case(f"the document is {what}", odd, {ERROR}, says=said)
        for what, odd, said in (
            ("empty", {}, ("coverage", "now", "input.schema.json")),
            ("of another schema", changed(schema="oms-gate/input/v2"), (": schema)",)),
            ("of a longer schema", changed(schema="oms-gate/input/v1\n"), (": schema)",)),
            ("of a schema that is no text", changed(schema=["oms-gate/input/v1"]), (": schema)",)),
            ("more than the schema says", changed(more=1), (": more)",)),
            ("without a history, not null", without("history"), (": history)",)),
            ("wanted for nothing", changed(context={}), (": context)",)),
            ("wanted for something else", changed(context={"operation": "x"}), (": context)",)),
            ("in namespaces", changed(context={"operation": "load", "namespace": ["a"]}), ()),
            ("in a list of labels", changed(context={**LOAD, "namespace_labels": ["a"]}), ()),
            ("of a time in words", changed(now="2026-09-01"), (": now)",)),
            ("of no assurance", changed(assurance="none"), (": assurance)",)),
        )
    ),
    *(
        Case(f"no {'.'.join(path)}", without(*path), {ERROR}, says=(f": {path[0]})",))
        for path in (
            ("schema",),
            ("model",),
            ("model", "name"),
            ("signer",),
            ("signer", "method"),
            ("signer", "identity"),
            ("signer", "issuer"),
            ("signer", "root"),
            ("signer", "root", "name"),
            ("signer", "expired_at"),
            ("signature", "times"),
            ("signature", "log_index"),
            ("signature", "hash_type"),
            ("coverage",),
            ("coverage", "signed"),
            ("coverage", "signed_files"),
            ("coverage", "signed_bytes"),
            ("coverage", "missing"),
            ("coverage", "unsigned"),
            ("coverage", "ignored"),
            ("attestations",),
            ("refused_attestations",),
            ("boms",),
            ("refused_boms",),
            ("assurance",),
            ("now",),
            ("context",),
        )
    ),
    *(
        Case(f"coverage with {odd}", covering(odd), {ERROR}, says=(": coverage)",))
        for odd in ODD_COVERAGE
    ),
]


@dataclass(frozen=True)
class Trick:
    """Row 11: a signer that looks like the one who is named (`twin`), and is not."""

    name: str
    rule: dict[str, Any]
    signer: Signer
    twin: Signer


def pattern(expression: str, **changes: str) -> dict[str, Any]:
    rule = {"method": "sigstore", "identity_pattern": expression, "issuer": ISSUER, **changes}
    if changes.get("method") == "certificate":
        del rule["issuer"]
    return rule


AT_EXAMPLE = pattern(r".*@example\.com")
A_CERTIFICATE = {"method": "certificate", "root": "ca"}
SUBJECT = "CN=release@example.com"

TRICKS = [
    Trick(
        "unanchored at the end",
        AT_EXAMPLE,
        sigstore("release@example.com.evil.test"),
        sigstore("release@example.com"),
    ),
    Trick(
        "unanchored at the start",
        pattern(r"release@example\.com"),
        sigstore("evil-release@example.com"),
        sigstore("release@example.com"),
    ),
    Trick("suffix domain", AT_EXAMPLE, sigstore("a@notexample.com"), sigstore("a@example.com")),
    Trick("the dot is a dot", AT_EXAMPLE, sigstore("a@exampleXcom"), sigstore("a@example.com")),
    Trick("exact: suffix", BY_SIGSTORE, sigstore("release@example.com.evil.test"), sigstore()),
    Trick("exact: prefix", BY_SIGSTORE, sigstore("elease@example.com"), sigstore()),
    Trick("exact: case", BY_SIGSTORE, sigstore("Release@example.com"), sigstore()),
    Trick("exact: end of line", BY_SIGSTORE, sigstore("release@example.com\n"), sigstore()),
    Trick("exact: NUL", BY_SIGSTORE, sigstore("release@example.com\0"), sigstore()),
    Trick("exact: is no pattern", BY_SIGSTORE, sigstore("release@exampleXcom"), sigstore()),
    Trick("exact: look-alike", BY_SIGSTORE, sigstore("relea\u0455e@example.com"), sigstore()),
    Trick("pattern: case", pattern("a@b"), sigstore("A@b"), sigstore("a@b")),
    Trick("pattern: (?i:", pattern("(?i:a)@b"), sigstore("A@B"), sigstore("A@b")),
    Trick(
        "pattern: end of line", AT_EXAMPLE, sigstore("a@example.com\n"), sigstore("a@example.com")
    ),
    Trick("pattern: lines", pattern("^a@b$"), sigstore("a@b\nx"), sigstore("a@b")),
    Trick("alternation: first", pattern("a@b|c@d"), sigstore("a@b.evil"), sigstore("a@b")),
    Trick("alternation: last", pattern("a@b|c@d"), sigstore("evil.c@d"), sigstore("c@d")),
    Trick(
        "right identity, wrong issuer",
        BY_SIGSTORE,
        sigstore(issuer="https://accounts.evil.test"),
        sigstore(),
    ),
    Trick("issuer: slash", BY_SIGSTORE, sigstore(issuer=ISSUER + "/"), sigstore()),
    Trick("issuer: none", BY_SIGSTORE, sigstore(issuer=None), sigstore()),
    Trick(
        "the subject of a certificate without a name",
        pattern(r".*release@example\.com", method="certificate", root="ca"),
        certificate(SUBJECT, SUBJECT),
        certificate("release@example.com"),
    ),
    Trick(
        "a subject that looks like a URI",
        {**A_CERTIFICATE, "identity": "https://ci.example/sign?team=x"},
        certificate("https://ci.example/sign?team=x", "https://ci.example/sign?team=x"),
        certificate("https://ci.example/sign?team=x", "CN=whoever"),
    ),
    Trick(
        "a name that looks like a subject",
        {**A_CERTIFICATE, "identity": SUBJECT},
        certificate(SUBJECT, "CN=mallory"),
        certificate(SUBJECT, SUBJECT),
    ),
    Trick(
        "a name that looks like a subject, by pattern",
        pattern("CN=release@.*", method="certificate", root="ca"),
        certificate(SUBJECT, "CN=mallory"),
        certificate(SUBJECT, SUBJECT),
    ),
    Trick(
        "an empty subject",
        pattern(".*", method="certificate", root="ca"),
        certificate("", ""),
        certificate("x@example.com"),
    ),
    Trick(
        "another name under the same root",
        {**A_CERTIFICATE, "identity": "release@example.com"},
        certificate("mallory@example.com"),
        certificate("release@example.com"),
    ),
    Trick(
        "another subject under the same root",
        {**A_CERTIFICATE, "identity": SUBJECT},
        certificate("CN=mallory", "CN=mallory"),
        certificate(SUBJECT, SUBJECT),
    ),
    Trick(
        "another name under the same root, by pattern",
        pattern(r".*@example\.com", method="certificate", root="ca"),
        certificate("release@example.com.evil.test"),
        certificate("release@example.com"),
    ),
    Trick(
        "any identity, under another root",
        {**A_CERTIFICATE, "any_identity": True},
        certificate(root="web"),
        certificate(),
    ),
    Trick(
        "any identity, by sigstore",
        {**A_CERTIFICATE, "any_identity": True},
        sigstore(root="ca"),
        certificate(),
    ),
    # Row 10: one method must not pass for another.
    Trick("key for sigstore", BY_SIGSTORE, key("release@example.com"), sigstore()),
    Trick("key named as the root", BY_SIGSTORE, key("public-good"), sigstore()),
    Trick("certificate for sigstore", BY_SIGSTORE, certificate(root="public-good"), sigstore()),
    Trick(
        "sigstore for certificate",
        {**A_CERTIFICATE, "identity": "release@example.com"},
        sigstore(root="ca"),
        certificate(),
    ),
    Trick(
        "key for any certificate", {**A_CERTIFICATE, "any_identity": True}, key("ca"), certificate()
    ),
    Trick("certificate for key", BY_KEY, certificate(root="release"), key()),
    Trick("sigstore for key", BY_KEY, sigstore("release", root="release"), key()),
    Trick(
        "key by its digest",
        {"method": "key", "key": "sha256:" + "cd" * 32},
        key(),
        key("sha256:" + "cd" * 32),
    ),
]

# Globs over model names: the glob, a name, and whether it is covered.
GLOBS = [
    ("hf://org/*", "hf://org/model", True),
    ("hf://org/*", "hf://org/model/onnx", True),
    ("hf://org/*", "hf://org-evil/model", False),
    ("hf://org/*", "hf://org", False),
    ("hf://org/*", "hf://ORG/model", False),
    ("hf://org/*", "xhf://org/model", False),
    ("hf://org/model", "hf://org/model", True),
    ("hf://org/model", "hf://org/model/x", True),
    ("hf://org/model", "hf://org/model-2", False),
    ("hf://org/model", "hf://org/model\n/x", False),
    ("hf://org/model-*", "hf://org/model-", True),
    ("hf://org/model-*", "hf://org/model-2", True),
    ("hf://org/model-*", "hf://org/model/2", False),
    ("hf://org/*-gguf", "hf://org/x-gguf", True),
    ("hf://org/*-gguf", "hf://org/x-gguf-evil", False),
    ("hf://org/*-gguf", "hf://org/x/y-gguf", False),
    ("hf://org/**-gguf", "hf://org/x/y-gguf", True),
    ("abfs://**", "abfs://any/thing", True),
    ("abfs://**", "abfss://any/thing", False),
    ("hf://org.x/*", "hf://orgyx/m", False),
    ("hf://org+x/(m|n)", "hf://org+x/(m|n)", True),
    ("hf://org+x/(m|n)", "hf://org+x/m", False),
    ("hf://a/b$", "hf://a/b", False),
    ("s3://pool", "s3://pool/any/thing", True),
    ("s3://pool", "s3://pool2/any/thing", False),
    ("s3://pool/*/v1", "s3://pool/a/v1", True),
    ("s3://pool/*/v1", "s3://pool/a/b/v1", False),
    ("s3://pool/**/v1", "s3://pool/a/b/v1", True),
    ("/opt/models", "file:///opt/models/x", True),
    ("/opt/models", "file:///opt/models.old/x", False),
    ("org/*", "hf://org/model", True),
    ("org/*", "file:///org/model", False),
    ("gs://é/*", "gs://é/😀", True),
    ("gs://é/*", "gs://e\u0301/x", False),
]

PUBLISHERS = [
    *RULES,
    *(
        {"name": trick.name, "models": [f"trick-{number}/*"], "signers": [trick.rule]}
        for number, trick in enumerate(TRICKS)
    ),
    *(
        {
            "name": f"glob {number}",
            "models": [glob],
            "signers": [{"method": "key", "key": f"glob-{number}"}],
        }
        for number, (glob, _, _) in enumerate(GLOBS)
    ),
]
