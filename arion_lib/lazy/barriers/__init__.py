"""Stages that end one loop and start another: batch, sort, a progress bar, calls that overlap."""
