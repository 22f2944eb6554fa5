"""A model of the world around the watcher, and of what it owes: any history must keep the promises."""
