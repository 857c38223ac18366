"""What a run comes to, from whatever is known of it: for the API, the command and the page alike."""
