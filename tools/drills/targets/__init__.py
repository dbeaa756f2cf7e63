"""What a drill acts on: ./stack on one machine, or Vagrant's machines."""
