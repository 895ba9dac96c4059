"""What runs a decoder: TensorFlow or NumPy, behind one Protocol."""
