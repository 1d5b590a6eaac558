"""What authors of policies do: start one, check it, test it, see what it would change, build it.

`oms_gate.authoring.starting`, `.checking`, `.testing`, `.replay` and `.building` each do one of
these; `.explaining` says why a model is decided on as it is, and `.trusting` what would admit it.
"""
