"""Limits of requests and tokens a minute, and of requests at a time; and turns, so that a flood slows nobody."""
