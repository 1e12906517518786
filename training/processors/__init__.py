"""Effects as a studio applies them to a stem: each takes and returns float32 (n, 2) at 44.1 kHz."""
