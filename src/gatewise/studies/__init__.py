"""Studies: the claims that textbooks make about recurrent networks, each tested by experiments."""
