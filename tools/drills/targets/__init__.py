"""The platforms that drills act on: ./stack on one machine, or Vagrant's machines."""
