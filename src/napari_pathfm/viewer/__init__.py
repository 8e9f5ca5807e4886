"""The napari plugin: reader, writers, sample slides and the docked panel.

Nothing is imported here: napari imports the one module that a command of
``napari.yaml`` names, when it is needed.
"""
