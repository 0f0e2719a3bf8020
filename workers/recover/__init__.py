"""Starting again after a store was lost: one command for each of the three stores of ours."""
