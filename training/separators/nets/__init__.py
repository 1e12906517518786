"""Small separators of the known architectures, each a module from mixes (batch, 2, n) to stems (batch, stems, 2, n)."""
