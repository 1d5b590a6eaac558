"""The Hub's protocol, spoken by the gate: what clients in any language get was verified."""
