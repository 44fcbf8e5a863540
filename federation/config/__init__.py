"""What a federation is: its configuration, the rules and names that follow from it; nothing here acts."""
