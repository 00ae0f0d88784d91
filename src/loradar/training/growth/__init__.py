"""Growing an expert: a new attack, learnt beside what the model knows."""
