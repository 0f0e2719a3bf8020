"""`sherwood ops`: a module for each subject of the operators. Start at `app`."""
