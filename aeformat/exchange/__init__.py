"""Networks from elsewhere and to elsewhere: Keras files in; Keras, ONNX and safetensors files out."""
