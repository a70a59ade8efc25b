"""The functions' handlers: parse the event, call one use case, translate the result."""
