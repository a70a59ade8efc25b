"""What the README claims, as commands whose output is the evidence: `./prove`."""
