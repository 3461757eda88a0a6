"""A cloud of any size behind the SSH and HTTP of the real one, for scale and for faults. Nothing is in here yet."""
