"""The whole system on one machine: servers, schedules, event source mappings."""
