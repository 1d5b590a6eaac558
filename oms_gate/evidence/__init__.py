"""What is left of the gate's verdicts, for those who ask later."""
