"""What an inpainter's graph takes and gives: described by data, presets and the graph."""
