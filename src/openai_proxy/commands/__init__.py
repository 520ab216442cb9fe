"""The command line's sub-commands: a module a subject, each with `add_to`."""
