"""Bills of materials of models: CycloneDX, of what the gate has proven and the card declares."""
