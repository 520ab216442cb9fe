"""Who may call, and what they may: the access file, read, checked, changed and watched."""
