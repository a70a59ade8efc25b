"""ELV-LW-OMO: orientation and motion."""
