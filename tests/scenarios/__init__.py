"""Stories of the simulated cloud, told to a decider on a virtual clock: what people get to hear."""
