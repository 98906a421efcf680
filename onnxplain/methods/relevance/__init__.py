"""Methods that hand the score down through the network, layer by layer."""
