"""Policy: what it sees, which engine evaluates it, what it decided.

`oms_gate.policy.input` builds the input document, `oms_gate.policy.publishers` holds the rules
of the default policy, `oms_gate.policy.wasm` and `oms_gate.policy.server` evaluate, and
`oms_gate.policy.decision` reads the answer. `oms_gate.policy.bundle` and
`oms_gate.policy.bundle_signature` read what OPA built and signed, and
`oms_gate.policy.decision_log` keeps what was decided.
"""
