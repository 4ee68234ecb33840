"""The design's figures, each beside its baseline, in one run on one machine."""
