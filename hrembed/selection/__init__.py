"""Model facts, leaderboard scores, ranking."""
