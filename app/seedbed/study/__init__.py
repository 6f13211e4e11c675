"""Real networks, trained from Seedbed's weights; and the advice that follows."""
