"""Data sets, views of them (subsets, augmentation) and word vectors."""
