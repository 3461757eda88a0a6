"""A cloud of any size behind the SSH and HTTP of the real one: for scale, for faults, and for time that runs faster."""
