"""Methods: the losses of the papers, one file each."""
