"""The part of models/README.md about the photograph models, and models/PHOTO_SOURCES.tsv beside it.

python -m tools.photo_card --sources SOURCES.tsv                writes PHOTO_SOURCES.tsv: of which photographs the data are, whose
                                                                they are, and under which licence
python -m tools.photo_card --validation DIR --runs RUNS         measures the models photo-* of models/ on the image files of DIR,
                                                                writes photo_models.json and the part of the card
python -m tools.photo_card                                      writes the part of the card again, from these files

RUNS is the folder that `aeformat model train --runs` was given: how long a model was trained stands in its checkpoint.
"""
