"""One module for each format of the user's own files, and the steps that they share."""
