"""Pathology foundation models, live on whole-slide images."""
